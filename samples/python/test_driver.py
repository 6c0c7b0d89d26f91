# The smallest driver: says whether this machine is the master.   python3 test_driver.py SECRET [ws://127.0.0.1:3001]
import sys

from clustd import DriverClient, DriverMachine


class TestDriver(DriverMachine):
    def trigger(self, is_master):
        print(f"Master status: {is_master}", flush=True)


secret, host = (sys.argv[1:] + ["ws://127.0.0.1:3001"])[:2]
TestDriver(DriverClient(secret=secret, id="test-driver"), host).run()

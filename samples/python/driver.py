# A driver in thirty lines: counts while this machine is the master.   python3 driver.py SECRET [ws://127.0.0.1:3001]
import sys
import threading

from clustd import DriverClient, DriverMachine


class Counter(DriverMachine):
    count = 0
    counting = None

    def trigger_with(self, trigger):
        what = f"start under token {trigger.token}" if trigger.is_master else "stop"
        print(f"{trigger.service}: {what}, because {trigger.reason}", flush=True)
        if trigger.is_master:
            self.counting = threading.Thread(target=self.work, args=[trigger.lease])
            self.counting.start()
        elif self.counting:
            self.counting.join()  # The lease's event is set; a stop returns when it has happened.
            print(f"{trigger.service}: stopped at {self.count}", flush=True)

    def work(self, lease):
        while not lease.ended.wait(0.01):
            if lease.is_valid:  # At every act, and as close to it as can be. Hand lease.token to what you write to.
                self.count += 1


secret, host = (sys.argv[1:] + ["ws://127.0.0.1:3001"])[:2]
Counter(DriverClient(secret=secret, id="counter"), host).run()

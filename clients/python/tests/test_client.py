import time
import unittest

from clustd import DriverClient, clock
from clustd.client import parse_address


class ClientTests(unittest.TestCase):
    def test_an_address_may_be_written_in_many_ways(self):
        for text, expected in {
            "ws://127.0.0.1:3001": ("127.0.0.1", 3001, "/v1/driver"), "127.0.0.1:3002": ("127.0.0.1", 3002, "/v1/driver"), "ws://localhost/": ("localhost", 3001, "/v1/driver"),
            "ws://[::1]:5/x?y=1": ("::1", 5, "/x?y=1"),
        }.items():
            self.assertEqual(tuple(parse_address(text)), expected)

    def test_what_is_no_address_is_refused_with_what_to_write(self):
        for text in ("", "wss://127.0.0.1:3001", "http://127.0.0.1", "ws://", "ws://127.0.0.1:port", "ws://127.0.0.1:99999", "ws://a b:1", "ws://127.0.0.1:1/\r\nX: y"):
            with self.assertRaisesRegex(ValueError, "Write it like ws://127.0.0.1:3001"):
                parse_address(text)

    def test_the_secret_is_not_printed(self):
        self.assertNotIn("hush", repr(DriverClient(secret="hush")))

    def test_settings_without_sense_are_refused(self):
        for settings in ({"secret": ""}, {"secret": "s", "stop": "maybe"}, {"secret": "s", "services": "web"}):
            with self.assertRaises(ValueError):
                DriverClient(**settings)

    def test_the_name_is_the_id_or_the_program(self):
        self.assertEqual(DriverClient(secret="s", id="me").effective_name, "me")
        self.assertEqual(DriverClient(secret="s", id="me", name="us").effective_name, "us")
        first, second = DriverClient(secret="s"), DriverClient(secret="s")
        self.assertNotEqual(first.id, second.id)
        self.assertEqual(first.effective_name, second.effective_name)


class ClockTests(unittest.TestCase):
    @unittest.skipUnless(clock.COUNTS_SLEEP, "there is no clock that counts sleep here")
    def test_it_counts_sleep_and_is_not_slewed(self):
        asleep = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        expected = (time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) + asleep) // 1_000
        self.assertLess(abs(clock.now_us() - expected), 1_000_000)

    def test_it_never_goes_back(self):
        readings = [clock.now_us() for _ in range(10_000)]
        self.assertEqual(readings, sorted(readings))

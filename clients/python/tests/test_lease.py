import random
import threading
import unittest

from clustd.lease import Due, DriverLease, Lease, LeaseWatch, Signal


class DriverLeaseTests(unittest.TestCase):
    def test_it_counts_from_when_it_was_asked_for(self):
        lease = DriverLease()
        lease.sent(1_000)
        self.assertTrue(lease.answered(1_000, 500, now=1_400))
        self.assertEqual(lease.ends_at, 1_500)
        self.assertTrue(lease.is_valid(1_499))
        self.assertFalse(lease.is_valid(1_500))

    def test_answers_to_unknown_and_older_stamps_are_ignored(self):
        lease = DriverLease()
        for stamp in (1, 2, 3):
            lease.sent(stamp)
        self.assertFalse(lease.answered(9, 500, now=9))
        self.assertTrue(lease.answered(2, 500, now=9))
        self.assertFalse(lease.answered(1, 900, now=9))
        self.assertFalse(lease.answered(2, 900, now=9))
        self.assertEqual(lease.oldest_unanswered, 3)

    def test_the_end_moves_back_only_if_that_is_said(self):
        lease = DriverLease()
        for stamp in (1, 2, 3, 4, 5):
            lease.sent(stamp)
        lease.answered(1, 1_000, now=1)
        self.assertFalse(lease.answered(2, 10, now=2))
        self.assertFalse(lease.answered(3, None, now=3))
        self.assertEqual(lease.ends_at, 1_001)
        self.assertTrue(lease.answered(4, 10, now=4, shortens=True))
        self.assertEqual(lease.ends_at, 14)
        self.assertTrue(lease.answered(5, 0, now=6))
        self.assertEqual(lease.ends_at, 6)

    # Whatever is answered in whatever order: the end is never later than a stamp that was sent plus what was granted to it.
    def test_it_never_lasts_longer_than_what_was_granted(self):
        for seed in range(300):
            chance, lease, now, sent, granted = random.Random(seed), DriverLease(), 0, [], 0
            for _ in range(40):
                now += chance.randrange(1, 50)
                if chance.random() < 0.5 and lease.sent(now):
                    sent.append(now)
                elif sent:
                    stamp, left = chance.choice(sent), chance.choice([None, 0, chance.randrange(1, 300)])
                    granted = max(granted, stamp + (left or 0), now if left == 0 else 0)
                    lease.answered(stamp, left, now, chance.random() < 0.2)
                if lease.ends_at is not None:
                    self.assertLessEqual(lease.ends_at, granted, f"seed {seed}")


class LeaseWatchTests(unittest.TestCase):
    def test_it_renews_at_once_then_every_so_often_and_sooner_when_little_is_left(self):
        watch = LeaseWatch()
        watch.connected(1_000_000, 240_000, 500_000, now=10)
        self.assertEqual(watch.due(10), Due.RENEW)
        watch.lease.answered(10, 900_000, now=20)
        self.assertEqual(watch.next_at(), 240_010)
        self.assertEqual(watch.due(240_010), Due.RENEW)
        watch.lease.answered(240_010, 480_000, now=240_020, shortens=True)
        self.assertEqual(watch.next_at(), 480_010)
        self.assertEqual(watch.due(480_010), Due.RENEW)
        watch.lease.answered(480_010, 479_999, now=480_020, shortens=True)
        self.assertEqual(watch.next_at(), 480_010 + 30_000)

    def test_over_is_said_once_per_end_also_without_a_connection(self):
        watch = LeaseWatch()
        watch.connected(1_000_000, 160_000, 500_000, now=0)
        watch.due(0)
        watch.lease.answered(0, 900_000, now=1)
        watch.disconnected()
        self.assertEqual(watch.due(899_999), Due.NOTHING)
        self.assertEqual(watch.due(2_000_000), Due.OVER)
        self.assertEqual(watch.due(2_000_001), Due.NOTHING)

    def test_a_silent_daemon_is_given_up_after_half_a_lease(self):
        watch = LeaseWatch()
        watch.connected(1_000_000, 160_000, 500_000, now=0)
        watch.due(0)
        self.assertNotIn(Due.RECONNECT, watch.due(499_999))
        self.assertIn(Due.RECONNECT, watch.due(500_000))

    def test_while_a_lease_lasts_a_new_limit_can_only_be_shorter(self):
        watch = LeaseWatch()
        watch.connected(1_000_000, 160_000, 500_000, now=0)
        watch.due(0)
        watch.lease.answered(0, 900_000, now=1)
        watch.connected(1_000_000, 160_000, 900_000, now=2)
        self.assertEqual(watch.kill_timeout_us, 500_000)
        watch.connected(1_000_000, 160_000, 100_000, now=3)
        self.assertEqual(watch.kill_timeout_us, 100_000)
        watch.due(900_000)
        watch.connected(1_000_000, 160_000, 900_000, now=900_001)
        self.assertEqual(watch.kill_timeout_us, 900_000)


class LeaseTests(unittest.TestCase):
    def test_it_is_valid_until_its_end_or_until_it_is_ended(self):
        now = [100]
        lease = Lease("web", 7, lambda: 200, lambda: now[0])
        self.assertTrue(lease.is_valid)
        self.assertEqual(lease.remaining, 100 / 1e6)
        lease._stop()
        self.assertTrue(lease.ended.is_set())
        self.assertTrue(lease.is_valid, "a planned stop lets work in hand be finished")
        now[0] = 200
        self.assertFalse(lease.is_valid)
        now[0] = 100
        lease._end()
        self.assertFalse(lease.is_valid)

    def test_a_signal_tells_those_who_come_before_and_after(self):
        signal, told = Signal(), []
        signal.when_set(lambda: told.append("before"))
        threading.Thread(target=signal.set).start()
        self.assertTrue(signal.wait(10))
        signal.when_set(lambda: told.append("after"))
        self.assertIn("after", told)

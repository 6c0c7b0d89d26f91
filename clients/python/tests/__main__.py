"""Runs all tests, or those whose name has the first argument in it, and ends with their sums."""

import faulthandler
import sys
import unittest

faulthandler.dump_traceback_later(300, exit=True)  # A test that hangs ends the run and says where.

suite = unittest.TestLoader()
if sys.argv[1:]:
    suite.testNamePatterns = [f"*{sys.argv[1]}*"]
result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite.discover("tests", top_level_dir="."))
failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
skipped = len(result.skipped) + len(result.expectedFailures)
print(f"failed: {failed}\nsucceeded: {result.testsRun - failed - skipped}\nskipped: {skipped}")
sys.exit(failed != 0)

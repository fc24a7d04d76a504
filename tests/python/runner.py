"""Runs the tests of a module and prints a summary like that of `cargo test`."""

import sys
import unittest


def main():
    result = unittest.main("__main__", exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    passed = max(0, result.testsRun - failed - len(result.skipped))
    word = "ok" if result.wasSuccessful() else "FAILED"
    print(f"\ntest result: {word}. {passed} passed; {failed} failed", flush=True)
    sys.exit(not result.wasSuccessful())

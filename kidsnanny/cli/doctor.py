"""`kidsnanny doctor`: the self-test, printed."""

from kidsnanny.cli.console import Exit, fail, say


def doctor() -> None:
    """Test each component on generated input; print versions, weights, checksums, licences and what is missing.

    A line begins with ok, with FAIL, or with - for a part that is not installed and that the default profile does not
    need. Exit code 0 when every test passes, 3 when one fails.

    Example: kidsnanny doctor
    """
    from kidsnanny.self_test import run_self_test

    passed, failed = 0, 0
    absent: list[str] = []
    for result in run_self_test():
        say(f"{'-   ' if result.absent else 'ok  ' if result.passed else 'FAIL'} {result.subject}: {result.detail}")
        passed += result.passed and not result.absent
        failed += not result.passed
        absent += [result.subject] if result.absent else []
    if failed:
        fail(Exit.COMPONENT, f"{failed} {'test' if failed == 1 else 'tests'} failed; each line says how to fix it.")
    optional = f"; optional and not installed: {', '.join(absent)}" if absent else ""
    say(f"All {passed} tests passed{optional}.")

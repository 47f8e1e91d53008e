"""`kidsnanny doctor`: the self-test, printed."""

from kidsnanny.cli.console import Exit, fail, say


def doctor() -> None:
    """Test each component on generated input; print versions, weights, checksums, licences and what is missing.

    Exit code 0 when every test passes, 3 when one fails.

    Example: kidsnanny doctor
    """
    from kidsnanny.self_test import run_self_test

    failed = 0
    for subject, passed, detail in run_self_test():
        mark = "FAIL" if not passed else "--  " if detail.startswith("not ") else "ok  "  # not here, and not needed
        say(f"{mark} {subject}: {detail}")
        failed += not passed
    if failed:
        fail(Exit.COMPONENT, f"{failed} {'test' if failed == 1 else 'tests'} failed; each line says how to fix it.")

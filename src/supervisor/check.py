"""What `ringgate check` asks Python, behind the words of an app host (`prelude.py`, `ahead.py`): PYTHON -c <both> TARGET PATH...: can this application be loaded?

Says what stands in the way on stderr, and so by its exit code; another code is the application's own.
"""


def judge(target, *paths):
    sys.argv = ["ringgate"]
    sys.path[:] = [*paths, *(path for path in sys.path if path and path not in paths)]
    code = EXIT_WELL

    def tell(message, trace):
        nonlocal code
        lines = [f"ringgate: {target} cannot be loaded: {message}", *trace.splitlines()]
        os.write(2, "\n    ".join(lines).encode("utf-8", "backslashreplace") + b"\n")
        code = EXIT_TOLD

    try:
        load(target)
    except LoadError as error:
        tell(error.message, error.trace)
    else:
        for _, message, trace in load_ahead():
            tell(message, trace)
    finish()
    # Not by way of threads that the application has started and that never end.
    os._exit(code)


judge(*sys.argv[1:])

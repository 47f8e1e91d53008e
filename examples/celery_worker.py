"""A queue of pictures to check, and worker processes that each hold one pipeline.

    export CELERY_BROKER_URL=redis://localhost CELERY_RESULT_BACKEND=redis://localhost
    celery --workdir examples -A celery_worker worker --concurrency 2 --loglevel INFO

The program that has the pictures asks so, and holds a picture back until the answer is there:

    from celery_worker import check
    verdict = Verdict.from_json(check.delay("/srv/uploads/4711", age="child").get(timeout=60))
"""

from functools import cache

from celery import Celery
from celery.signals import worker_process_init

from kidsnanny import Pipeline

app = Celery("celery_worker")
app.config_from_envvar("CELERY_CONFIG_MODULE", silent=True)  # your settings; or the two variables above
app.conf.update(
    worker_proc_alive_timeout=60,  # seconds to load the models in; Celery kills a process that takes longer than 4
    task_time_limit=120,  # seconds; a task that takes longer, or whose process dies, fails and has no verdict
    result_expires=3600,  # seconds; a verdict holds the text from the picture
)


@cache
def pipeline() -> Pipeline:
    """This process's own: a process that was forked from one with models would open them again."""
    return Pipeline().warm_up()


@worker_process_init.connect
def load(**_: object) -> None:
    pipeline()  # before the first picture, and not with it


@app.task(resultrepr_maxsize=0)  # Celery logs the start of a result, and this one quotes the picture's text
def check(path: str, age: str = "preteen") -> str:
    """The verdict's JSON about the file at `path`, which this process can read. With a storage key instead, fetch the
    bytes here: `pipeline()(storage.read(key), name=key, policy=age)`."""
    return pipeline()(path, policy=age).model_dump_json()

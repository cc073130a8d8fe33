"""The state machine over the desk, in its short form; `make stateful EXAMPLES=300 STEPS=60` is the long one."""

from hypothesis import HealthCheck, settings

from tests.stateful.machine import DeskMachine

TestDesk = DeskMachine.TestCase
TestDesk.settings = settings(
    max_examples=6,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,  # a commit is judged by what it changed; new seeds are for the long form
    database=None,
    suppress_health_check=list(HealthCheck),
)

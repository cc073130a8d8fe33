"""Every exception of the libraries used on the wire has a name of ours; a new one in a new version fails here."""

import http.client
import inspect
import socket
import ssl
from pathlib import Path
from types import ModuleType

import pytest
import requests
import requests.exceptions
import urllib3
import urllib3.exceptions

from perpsctl.domain.errors import VenueSpokeStrangely
from perpsctl.exchange import transport
from perpsctl.exchange.transport import Problem, classify
from tests.unit.exchange.parts import Canned, a_venue


def exceptions_of(module: ModuleType) -> list[type[BaseException]]:
    return [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, BaseException)
        and not issubclass(each, Warning)
        and each.__module__.split(".")[0] == module.__name__.split(".")[0]
    ]


# The roots of the trees: nobody raises them bare, and what is raised under them is named one by one.
ROOTS: set[type[BaseException]] = {
    requests.exceptions.RequestException,
    requests.exceptions.HTTPError,  # raise_for_status, which nobody here calls
    urllib3.exceptions.HTTPError,
    urllib3.exceptions.TimeoutStateError,  # misuse of urllib3's own timer
}
ON_THE_WIRE: list[type[BaseException]] = [
    *exceptions_of(requests.exceptions),
    *exceptions_of(urllib3.exceptions),
    *(each for each in exceptions_of(http.client) if each.__module__ == "http.client"),
    *(ssl.SSLError, ssl.SSLZeroReturnError, ssl.SSLEOFError, ssl.SSLSyscallError, ssl.SSLWantReadError),
    *(ssl.SSLWantWriteError, ssl.SSLCertVerificationError, ssl.CertificateError),
    *(socket.gaierror, socket.herror, socket.timeout, TimeoutError),
    *(ConnectionError, ConnectionResetError, ConnectionAbortedError, ConnectionRefusedError, BrokenPipeError),
]


def bare(kind: type[BaseException]) -> BaseException:
    made = kind.__new__(kind)
    BaseException.__init__(made)
    return made


@pytest.mark.parametrize("kind", [kind for kind in dict.fromkeys(ON_THE_WIRE) if kind not in ROOTS])
def test_a_failure_on_the_wire_is_caught_and_has_a_name(kind: type[BaseException]) -> None:
    assert issubclass(kind, transport._CAUGHT)
    assert classify(bare(kind)) is not Problem.OTHER


@pytest.mark.parametrize("root", sorted(ROOTS, key=str))
def test_even_the_roots_are_caught(root: type[BaseException]) -> None:
    assert issubclass(root, transport._CAUGHT)


def test_every_name_has_a_sentence() -> None:
    assert set(transport.SENTENCES) == set(Problem)


def test_the_nearest_specific_cause_gives_the_name() -> None:
    inner = urllib3.exceptions.NameResolutionError("h", None, socket.gaierror(-2, "no"))  # type: ignore[arg-type]
    wrapped = requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", inner))  # type: ignore[arg-type]
    assert classify(wrapped) is Problem.NO_ADDRESS


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"epochMillis": 1e999999999}', b'{"epochMillis": NaN}']
)
def test_what_msgspec_raises_leaves_as_our_error(body: bytes) -> None:
    canned = Canned()
    canned.on("GET", "/time", (200, {"content-type": "application/json"}, body))
    with pytest.raises(VenueSpokeStrangely):
        a_venue(canned).server_time()


def test_the_signature_is_made_without_the_jwt_library_so_nothing_of_it_can_come_out() -> None:
    room = Path(transport.__file__).parent
    assert not [path for path in room.rglob("*.py") if "import jwt" in path.read_text()]

"""Passwords, tokens and links: what proves something, and what is kept of it."""

import threading
import time
from typing import Literal

import anyio
import anyio.lowlevel
import pytest
from argon2 import PasswordHasher
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts import (
    Accounts,
    checked_password,
    checked_username,
    hash_password,
    hash_token,
    is_id,
    new_id,
    new_token,
    token_hint,
)
from gateway.attempts import Attempts
from gateway.errors import GatewayError

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


def test_passwords_are_kept_as_argon2id() -> None:
    assert hash_password("correct horse").startswith("$argon2id$")


def test_only_the_right_password_is_accepted() -> None:
    accounts = Accounts([NEW], CHEAP)
    kept = hash_password("correct horse", CHEAP)

    assert accounts.verify(kept, "correct horse")
    assert not accounts.verify(kept, "correct horsf")
    assert not accounts.verify(kept, "")


@pytest.mark.parametrize("kept", [None, "", "not a hash"])
def test_an_account_without_a_password_accepts_none(kept: str | None) -> None:
    assert not Accounts([NEW], CHEAP).verify(kept, "anything")


def test_an_unknown_name_takes_as_long_as_a_wrong_password() -> None:
    accounts = Accounts([NEW])
    kept = hash_password("correct horse")

    began = time.process_time()
    accounts.verify(kept, "wrong")
    wrong = time.process_time() - began
    began = time.process_time()
    accounts.verify(None, "wrong")
    unknown = time.process_time() - began

    assert wrong / 3 < unknown < wrong * 3


async def test_verifying_aside_gives_the_same_answer() -> None:
    accounts = Accounts([NEW], CHEAP)

    assert await accounts.verify_aside(hash_password("correct horse", CHEAP), "correct horse")


class HeldHasher(PasswordHasher):
    """Checks a password only once it is let go on."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.let_go = threading.Event()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
        assert self.let_go.wait(5), "the event loop stood still"
        return super().verify(hash, password)


async def test_the_event_loop_goes_on_while_a_password_is_checked() -> None:
    hasher = HeldHasher()
    accounts = Accounts([NEW], hasher)
    kept = hash_password("correct horse", CHEAP)

    async with anyio.create_task_group() as group:
        group.start_soon(accounts.verify_aside, kept, "correct horse")
        await anyio.lowlevel.checkpoint()
        hasher.let_go.set()


async def test_a_crowd_of_sign_ins_is_told_to_come_back_instead_of_queueing() -> None:
    hasher = HeldHasher()
    accounts = Accounts([NEW], hasher)
    kept = hash_password("correct horse", CHEAP)

    async with anyio.create_task_group() as group:
        for _ in range(34):
            group.start_soon(accounts.verify_aside, kept, "correct horse")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(GatewayError) as refused:
            await accounts.verify_aside(kept, "correct horse")
        hasher.let_go.set()

    assert refused.value.code == "too_many_attempts"
    assert "Retry-After" in refused.value.headers


@pytest.mark.parametrize(
    "name", ["a", "alice", "Alice", "a.b-c_d", "al@example.org", "7", "x" * 64]
)
def test_usernames_are_kept_in_lower_case(name: str) -> None:
    assert checked_username(name) == name.lower()


@pytest.mark.parametrize(
    "name", ["", ".a", "a b", "a/b", "é", "\u212a", "a\n", "x" * 65, "a\ud800"]
)
def test_other_usernames_are_refused(name: str) -> None:
    with pytest.raises(GatewayError) as refused:
        checked_username(name)

    assert (refused.value.code, refused.value.data["field"]) == ("invalid_request", "username")


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025])
def test_too_short_and_too_long_passwords_are_refused(password: str) -> None:
    with pytest.raises(GatewayError) as refused:
        checked_password(password)

    assert (refused.value.code, refused.value.data["field"]) == ("invalid_request", "password")


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_a_sealed_token_comes_back_and_does_not_show(token: str) -> None:
    accounts = SEALING

    sealed = accounts.seal(token)

    assert accounts.unseal(sealed) == token
    assert len(token) < 4 or token.encode() not in sealed


SEALING = Accounts([NEW], CHEAP)


def test_an_older_key_still_opens_what_it_sealed() -> None:
    sealed = Accounts([OLD], CHEAP).seal("sk-1")

    assert Accounts([NEW, OLD], CHEAP).unseal(sealed) == "sk-1"


def test_a_lost_key_says_what_to_do() -> None:
    sealed = Accounts([OLD], CHEAP).seal("sk-secret")

    with pytest.raises(GatewayError, match="enter the token again") as refused:
        Accounts([NEW], CHEAP).unseal(sealed)

    assert refused.value.code == "token_unreadable"


def test_ids_and_tokens_are_what_the_contract_says() -> None:
    assert len(new_id()) == 32
    assert is_id(new_id())
    assert new_id() != new_id()
    assert len(new_token()) == 43
    assert hash_token("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("token", "hint"),
    [("", "…"), ("1234567", "…"), ("12345678", "…5678"), ("sk-abcdefgh", "…efgh")],
)
def test_a_hint_shows_four_characters_of_a_long_token(token: str, hint: str) -> None:
    assert token_hint(token) == hint


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def tried(attempts: Attempts, times: int, name: str = "alice", address: str = "10.0.0.1") -> None:
    for _ in range(times):
        attempts.begin(name, address)


def test_the_eleventh_attempt_has_to_wait() -> None:
    attempts = Attempts(Clock())
    tried(attempts, 10)

    with pytest.raises(GatewayError) as refused:
        attempts.begin("alice", "10.0.0.1")

    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": "300"}


def test_waiting_as_long_as_told_is_enough() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    tried(attempts, 10)

    clock.now += 300

    attempts.begin("alice", "10.0.0.1")


def test_guessing_elsewhere_locks_nobody_out() -> None:
    attempts = Attempts(Clock())
    tried(attempts, 10)

    attempts.begin("alice", "10.0.0.2")
    attempts.begin("bob", "10.0.0.1")


def test_a_right_password_starts_the_count_again() -> None:
    attempts = Attempts(Clock())
    tried(attempts, 9)
    attempts.succeeded("alice", "10.0.0.1")

    tried(attempts, 10)


def test_strangers_cannot_fill_the_memory() -> None:
    attempts = Attempts(Clock())
    for number in range(10_500):
        attempts.begin(f"name{number}", "10.0.0.1")

    assert len(attempts._times) == 10_000

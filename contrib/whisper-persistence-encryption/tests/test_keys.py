"""Where keys live, how they are made, renewed, wrapped anew and destroyed, by several programs at once."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from marked import MASTER, Marks, writes
from whisper_persistence_encryption import EncryptionDriver, UnreadableError, new_master_key

from whisper_persistence import ConfigurationError, StorageUnavailableError, Store
from whisper_persistence.discovery import DriverSpec
from whisper_persistence.hookspecs import hookimpl
from whisper_persistence.plugins import Chain
from whisper_persistence.records import State, Strategy, StrategyChange, Window
from whisper_persistence.testing import SUBJECT_CAPABILITIES, samples

TALK = Window("talk", 1_000)


def blobs(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Return each owner's wrapped keys, with the id of their master key."""
    with closing(sqlite3.connect(folder / "keys.db")) as connection:
        rows = connection.execute("SELECT thing_id, master, wrapped FROM whisper_persistence_keys")
        return {owner: (master, wrapped) for owner, master, wrapped in rows}


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_erased_user_cannot_be_read_in_a_backup_and_leaves_no_byte_of_a_key(tmp_path, opened):
    marks = Marks()
    store = opened()
    for user in ("alice", "bob"):
        for write in writes(marks, user, f"talk of {user}"):
            write(store)
    bobs = samples.read(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
    key = blobs(tmp_path)["alice"][1]
    with closing(sqlite3.connect(tmp_path / "memory.db")) as source, closing(sqlite3.connect(tmp_path / "old")) as copy:
        source.backup(copy)
    report = store.erase_users(["alice"])
    store.close()

    assert report[0].counts == {"keys": 1}
    assert key not in b"".join(file.read_bytes() for file in tmp_path.glob("keys.db*"))
    assert b"alice" not in b"".join(file.read_bytes() for file in tmp_path.glob("keys.db*"))
    for file in tmp_path.glob("memory.db*"):
        file.unlink()
    shutil.copy(tmp_path / "old", tmp_path / "memory.db")
    with opened() as restored:
        with pytest.raises(UnreadableError):
            restored.load_messages([Window("talk of alice")])
        assert samples.read(restored, SUBJECT_CAPABILITIES, "bob", "talk of bob") == bobs


class Stubborn:
    """A driver that erases nobody until it is told that it may."""

    contract_version = 1
    may = False

    @hookimpl
    def open(self, below: Any, namespace: str) -> None:
        self.below = below

    @hookimpl
    def erase_users(self, user_ids: Any) -> Any:
        if not self.may:
            raise StorageUnavailableError("the store below is down")
        return self.below.erase_users(user_ids=user_ids)


@pytest.fixture
def over_stubborn(tmp_path: Path) -> Callable[[bool], Store]:
    def open_store(may: bool) -> Store:
        stubborn = Stubborn()
        stubborn.may = may
        sqlite = Chain.build([DriverSpec("sqlite", {"path": tmp_path / "memory.db"})]).drivers["sqlite"]
        encryption = EncryptionDriver((MASTER,), key_store=str(tmp_path / "keys.db"))
        return Store(Chain.of({"encryption": encryption, "stubborn": stubborn, "sqlite": sqlite}), "elena")

    return open_store


def test_an_erasure_that_is_cut_short_shows_nothing_and_is_ended_by_the_next_open(over_stubborn, opened, tmp_path):
    with over_stubborn(False) as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        samples.fill(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
        bobs = samples.read(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
        with pytest.raises(StorageUnavailableError):
            store.erase_users(["alice"])

        assert set(samples.read(store, SUBJECT_CAPABILITIES)) <= {"statistics"}, "numbers alone may still show"
        assert len(store.scan("messages", None, 100).records) == 3
    with pytest.raises(StorageUnavailableError):
        over_stubborn(False)
    with over_stubborn(True) as store:
        assert samples.read(store, SUBJECT_CAPABILITIES) == {}
        assert samples.read(store, SUBJECT_CAPABILITIES, "bob", "talk of bob") == bobs
        samples.fill(store, SUBJECT_CAPABILITIES)
        assert len(samples.read(store, SUBJECT_CAPABILITIES)) == 10
    with opened() as store:
        assert store.scan("messages", None, 100).records
        assert len(samples.read(store, SUBJECT_CAPABILITIES)) == 10, "what came after the erasure is not erased again"


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from whisper_persistence import Store
    from whisper_persistence.hookspecs import hookimpl
    from whisper_persistence.plugins import Chain
    from whisper_persistence_drivers.sqlite import SqliteDriver
    from whisper_persistence_encryption import EncryptionDriver
    from whisper_persistence_encryption.key_store import KeyStore
    folder, master, step = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    class Killed(SqliteDriver):
        @hookimpl
        def erase_users(self, user_ids):
            if step == "before the rows": die()
            answer = super().erase_users(user_ids)
            if step == "after the rows": die()
            return answer
    encryption = EncryptionDriver((master,), key_store=str(folder / "keys.db"))
    store = Store(Chain.of({"encryption": encryption, "sqlite": Killed(folder / "memory.db")}), "elena")
    if step == "between note and keys":
        add = KeyStore._add
        KeyStore._add = lambda self, *rest: (add(self, *rest), die())
    store.erase_users(["alice"])
"""


@pytest.mark.parametrize("step", ["between note and keys", "before the rows", "after the rows"])
def test_an_erasure_that_is_killed_is_ended_by_the_next_open(tmp_path, opened, step):
    with opened() as store:
        samples.fill(store, SUBJECT_CAPABILITIES)
        samples.fill(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
        bobs = samples.read(store, SUBJECT_CAPABILITIES, "bob", "talk of bob")
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), MASTER, step]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL  # noqa: S603

    with opened() as store:
        assert samples.read(store, SUBJECT_CAPABILITIES) == {}
        assert samples.read(store, SUBJECT_CAPABILITIES, "bob", "talk of bob") == bobs
        assert set(blobs(tmp_path)) == {"bob"}


def test_another_program_never_seals_with_a_destroyed_key(opened):
    one, other = opened(), opened()
    for store in (one, other):
        store.save_messages([samples.message()])
    one.erase_users(["alice"])
    other.save_messages([samples.message(content="after the erasure")])

    for store in (one, other, opened()):
        assert [message.content for message in store.load_messages([TALK])[TALK]] == ["after the erasure"]


def test_writes_beside_erasures_stay_readable(opened):
    stores = [opened() for _ in range(3)]
    stop = threading.Event()

    def write(store: Store) -> int:
        done = 0
        while not stop.is_set():
            done += len(store.save_messages([samples.message(content="x"), samples.message("b", "y", "bob")]))
            store.load_messages([TALK])
        return done

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(write, store) for store in stores[:2]]
        try:
            for _ in range(15):
                stores[2].erase_users(["alice"])
        finally:
            stop.set()
        bobs = sum(future.result() for future in writing) // 2

    with opened() as fresh:
        assert all(message.content == "x" for message in fresh.load_messages([TALK]).get(TALK, ()))
        query = Window("b", 1_000_000)
        assert len(fresh.load_messages([query])[query]) == bobs


def test_a_new_master_key_wraps_every_key_while_the_store_is_used(tmp_path, opened):
    old, new = MASTER, new_master_key()
    users = [f"u{n}" for n in range(120)]
    with opened(master_keys=old) as store:
        store.save_strategies([Strategy(user, "s", f"style of {user}") for user in users])
        before = blobs(tmp_path)
    stop = threading.Event()

    def use(store: Store, name: str) -> int:
        done = 0
        while not stop.is_set() or done == 0:
            user = f"{name} {done}"
            store.update_strategies([StrategyChange(user, (), user), StrategyChange("u7", extra={user: done})])
            assert store.load_strategies([user, "u8"])["u8"].communication_style == "style of u8"
            done += 1
        return done

    first = opened(master_keys=f"{old},{new}")
    with ThreadPoolExecutor(2) as pool:
        using = [pool.submit(use, first, "before")]
        second = opened(master_keys=f"{new},{old}")
        using.append(pool.submit(use, second, "after"))
        try:
            wait_until(lambda: not [user for user in users if blobs(tmp_path)[user] == before[user]])
        finally:
            stop.set()
        counts = [future.result() for future in using]
    first.close()
    second.close()
    with opened(master_keys=f"{new},{old}") as third:
        wait_until(lambda: third.check_health()[0].details["rewrapped"])
        assert len({master for master, _ in blobs(tmp_path).values()}) == 1
    with opened(master_keys=new) as store:
        assert len(store.load_strategies(users)) == 120
        assert len(store.load_strategies(["u7"])["u7"].extra) == sum(counts)
        for name, count in zip(("before", "after"), counts, strict=True):
            assert len(store.load_strategies([f"{name} {n}" for n in range(min(count, 1_000))])) == min(count, 1_000)
    with pytest.raises(ConfigurationError, match="not at hand"):
        opened(master_keys=old)


def test_a_data_key_that_grew_old_seals_no_more_and_still_opens(opened, monkeypatch, sql):
    with opened(renew_after_days=30) as store:
        store.save_messages([samples.message(content="old", message_id="1")])
    later = time.time() + 31 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    for n in (2, 3):
        with opened(renew_after_days=30) as store:
            store.save_messages([samples.message(content="new", message_id=f"{n}")])
            found = [message.content for message in store.load_messages([TALK])[TALK]]
    records = [row[0].split('"content":"')[1][:12] for row in sql("SELECT record FROM conversation_history")]

    assert found == ["old", "new", "new"]
    assert records[0] != records[1] == records[2], "the key ids"


def test_threads_that_meet_a_new_user_at_once_make_one_key(tmp_path, opened):
    stores = [opened() for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: stores[n % 4].save_messages([samples.message(message_id=f"{n}")]), range(64)))

    assert set(blobs(tmp_path)) == {"alice"}
    assert len(opened().load_messages([TALK])[TALK]) == 64


def test_a_child_of_fork_opens_its_own_connections(tmp_path, opened):
    store = opened()
    store.save_messages([samples.message(content="parent")])
    script = """
        import os, sys
        from whisper_persistence import Store, Message, Window
        from whisper_persistence.plugins import Chain
        from whisper_persistence_drivers.sqlite import SqliteDriver
        from whisper_persistence_encryption import EncryptionDriver
        folder, master = sys.argv[1:]
        encryption = EncryptionDriver((master,), key_store=folder + "/keys.db")
        store = Store(Chain.of({"encryption": encryption, "sqlite": SqliteDriver(folder + "/memory.db")}), "elena")
        store.save_messages([Message("talk", "bob", "bob", "before")])
        child = os.fork()
        store.save_messages([Message("talk", f"user {child == 0}", "x", "after")])
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path), MASTER], check=True)  # noqa: S603

    assert len(store.load_messages([TALK])[TALK]) == 4


SERVICE = """
    from cryptography.fernet import Fernet, InvalidToken
    from pathlib import Path
    CALLS = []
    FOLDER = Path(__file__).parent

    class Service:
        key_id = "arn:aws:kms:example"
        def wrap(self, plain, context):
            CALLS.append("wrap")
            return self._fernet().encrypt(plain + context)
        def unwrap(self, key_id, wrapped, context):
            CALLS.append("unwrap")
            try:
                return self._fernet().decrypt(wrapped).removesuffix(context)
            except InvalidToken:
                raise ValueError("not ours") from None
        def _fernet(self):
            if (FOLDER / "down").exists():
                raise RuntimeError("the secret name of the service did not resolve")
            return Fernet((FOLDER / "fernet").read_bytes())
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    (site / "kms_of_test.py").write_text(textwrap.dedent(SERVICE), encoding="utf-8")
    (site / "fernet").write_bytes(Fernet.generate_key())
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "kms_of_test", raising=False)
    return site


def test_a_key_service_wraps_and_unwraps_and_is_asked_once_a_user(service, opened):
    with opened(key_service="kms_of_test:Service") as store:
        for _ in range(5):
            store.save_messages([samples.message()])
            store.load_messages([TALK])

        assert sys.modules["kms_of_test"].CALLS == ["wrap", "unwrap"]
    with opened(key_service="kms_of_test:Service") as store:
        store.load_messages([TALK])
        (service / "down").touch()
        assert len(store.load_messages([TALK])[TALK]) == 5, "what is unwrapped stays so"
        with pytest.raises(StorageUnavailableError, match=r"key service failed \(RuntimeError\)"):
            store.save_messages([samples.message(user_id="bob")])
        (service / "down").unlink()
        store.save_messages([samples.message(user_id="bob")])
    (service / "fernet").write_bytes(Fernet.generate_key())
    with pytest.raises(ConfigurationError, match="not at hand"):
        opened(key_service="kms_of_test:Service")


def test_a_file_may_hold_the_master_keys(tmp_path, opened):
    file = tmp_path / "master"
    file.write_text(f"{MASTER}\n", encoding="ascii")
    with opened(master_key_file=str(file)) as store:
        store.save_messages([samples.message()])
    file.write_text(f"{new_master_key()}\n{MASTER}\n", encoding="ascii")
    with opened(master_key_file=str(file)) as store:
        assert len(store.load_messages([TALK])[TALK]) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"master_keys": ""}, "needs a master key: give one of"),
        ({"master_keys": MASTER, "key_service": "a:b"}, "needs a master key: give one of"),
        ({"master_keys": "c2hvcnQ="}, "must be 32 bytes in base64"),
        ({"master_keys": "not base64!"}, "must be 32 bytes in base64"),
        ({"master_key_file": "/nowhere"}, r"master_key_file cannot be read \(FileNotFoundError\)"),
        ({"key_service": "nowhere.at.all:f"}, r"'nowhere.at.all:f' cannot be used \(ModuleNotFoundError\)"),
        ({"key_service": "os.path"}, r"'os.path' cannot be used"),
        ({"master_keys": MASTER, "key_store": "mysql://u:secret-password@h/d"}, "path or a URL that begins postgresql"),
        ({"master_keys": MASTER, "key_store": "postgresql://u:secret-password@h:p/d"}, "is no URL of a database"),
        ({"master_keys": MASTER, "key_store": "postgresql://u:secret-password@[::1/d"}, "is no URL of a database"),
        ({"master_keys": MASTER, "key_store": "postgresql://h:secret-password/d"}, "is no URL of a database"),
        ({"master_keys": MASTER, "key_store": "/proc/nowhere/keys.db"}, "cannot write /proc/nowhere/keys.db"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(options, problem, tmp_path):
    given = {"key_store": str(tmp_path / "keys.db"), **options}
    with pytest.raises(ConfigurationError, match=problem) as refusal:
        Store(Chain.build([DriverSpec("encryption", given), DriverSpec("memory-fallback")]))

    assert "secret-password" not in str(refusal.value)
    assert "not base64!" not in str(refusal.value)


def test_several_machines_may_share_keys_in_postgresql(postgres_url, opened, tmp_path):
    one, other = opened(key_store=postgres_url), opened(key_store=postgres_url)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (one, other)[n % 2].save_messages([samples.message(message_id=f"{n}")]), range(40)))
    assert len(opened(key_store=postgres_url).load_messages([TALK])[TALK]) == 40

    assert one.erase_users(["alice"])[0].counts == {"keys": 1}
    other.save_messages([samples.message(content="after")])
    assert [message.content for message in one.load_messages([TALK])[TALK]] == ["after"]
    new = new_master_key()
    with opened(key_store=postgres_url, master_keys=f"{new},{MASTER}") as store:
        wait_until(lambda: store.check_health()[0].details["rewrapped"])
    with opened(key_store=postgres_url, master_keys=new) as store:
        assert [message.content for message in store.load_messages([TALK])[TALK]] == ["after"]
    assert not list(tmp_path.glob("keys.db*"))


def test_a_key_store_that_does_not_answer_is_an_outage(opened, tmp_path):
    store = opened(timeout=0.2)
    store.save_messages([samples.message()])
    with closing(sqlite3.connect(tmp_path / "keys.db", isolation_level=None)) as hog:
        hog.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageUnavailableError, match="key store did not answer"):
            store.save_messages([samples.message()])
        assert store.check_health()[0].state is State.DOWN
    with closing(sqlite3.connect(tmp_path / "keys.db-lock", isolation_level=None)) as hog:
        hog.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageUnavailableError, match=r"could not be had in 0\.2 s"):
            store.save_messages([samples.message()])
    store.save_messages([samples.message()])

    assert store.check_health()[0].state is State.UP


def test_a_server_that_is_not_there_is_an_outage_that_tells_no_password(opened):
    with pytest.raises(StorageUnavailableError) as refusal:
        opened(key_store="postgresql://nobody:secret-password@127.0.0.1:1/nothing")

    assert "secret-password" not in str(refusal.value)

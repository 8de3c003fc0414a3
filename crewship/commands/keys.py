"""API keys: handing them out, checking them.

A key reads `csk_<id>_<secret>`: the id finds its stream, the secret (40 characters, 206 bits) is compared by its hash
in constant time. A run's own key reads `csr_<run id>_<proof>`, where the proof is an HMAC of the run's id under a
secret of the installation: it is stored nowhere and ends with the run. A session of the console is a key's id and a
time with such a proof: it is stored nowhere either, and ends with its key.
"""

import hashlib
import hmac
from datetime import datetime, timedelta

import msgspec

from crewship import clock, ids
from crewship.commands.deciding import decide
from crewship.commands.idempotency import Idempotency, made, making
from crewship.eventlog import Author, Change, EventLog, StreamMoved
from domain import access as rules
from domain import run as run_rules
from domain.access import IMPLIED, KeyUsed, Scope
from domain.errors import Conflict, NotFound, Unauthorized

SECRET_CHARACTERS = 40
PREFIX = "csk"
RUN_PREFIX = "csr"
OPERATOR = "operator"
SESSION_LIFE = timedelta(days=7)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a request: what the log names them, what they may do, and, unless None, of which deployments alone.

    A run may only see itself, its thread, and rows of tables.
    """

    actor: str
    scopes: frozenset[Scope]
    run_id: str | None = None
    thread_id: str | None = None
    deployment_ids: frozenset[str] | None = None
    name: str = ""
    key_id: str | None = None

    def sees(self, deployment_id: str) -> bool:
        """Whether what is that deployment's is there for them."""
        return self.deployment_ids is None or deployment_id in self.deployment_ids


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who signed in: what the browser keeps, for whom, until when."""

    token: str
    principal: Principal
    expires_at: datetime


class Keys:
    """Checks what a request presents. Remembers when each key's use was last noted: at most once an hour a key."""

    def __init__(self, log: EventLog, admin_key: str | None, installation: bytes) -> None:
        self._log = log
        self._admin = hashlib.sha256(admin_key.encode()).digest() if admin_key else None
        self._secret = hmac.digest(installation, b"run keys and stream tokens", "sha256")
        self._noted: dict[str, datetime] = {}

    async def authenticate(self, presented: str, address: str | None = None) -> Principal:
        """Who presents this key, from where; raises Unauthorized."""
        if self._admin and hmac.compare_digest(hashlib.sha256(presented.encode()).digest(), self._admin):
            return Principal(actor=f"key:{OPERATOR}", scopes=IMPLIED["admin"], name=OPERATOR, key_id=OPERATOR)
        self._refuse_in_the_past()
        prefix, _, rest = presented.partition("_")
        if prefix == PREFIX:
            return await self._by_key(rest, address)
        if prefix == RUN_PREFIX:
            return await self._by_run_key(rest)
        raise Unauthorized("Invalid API key")

    async def _by_key(self, rest: str, address: str | None) -> Principal:
        key_id, _, secret = rest.partition("_")
        stream = f"key_{key_id}"
        key, _ = await self._log.load(stream, rules.evolve) if key_id.isascii() and key_id.isalnum() else (None, 0)
        expected = key.secret_sha256 if key else "0" * 64
        if not hmac.compare_digest(_hash(secret), expected) or key is None:
            raise Unauthorized("Invalid API key")
        now = clock.now()
        rules.check(key, now)
        await self._note_use(key.id, now, address)
        return _of(key)

    async def _by_run_key(self, rest: str) -> Principal:
        run_id, _, proof = rest.rpartition("_")
        if not hmac.compare_digest(self._proof(run_id).encode(), proof.encode(errors="replace")):
            raise Unauthorized("Invalid API key")
        run, _ = await self._log.load(run_id, run_rules.evolve)
        if run is None or run.finished:
            raise Unauthorized("This key ended with its run")
        return Principal(
            actor=f"run:{run_id}",
            scopes=IMPLIED["read"],
            run_id=run_id,
            thread_id=run.thread_id,
            deployment_ids=frozenset({run.deployment_id}),
        )

    def sign_in(self, principal: Principal) -> Session:
        """A session of the console for whoever presented a key; raises Unauthorized for a run."""
        if principal.key_id is None:
            raise Unauthorized("A run's key does not sign in")
        expires_at = clock.now() + SESSION_LIFE
        text = f"{principal.key_id}.{int(expires_at.timestamp())}"
        token = f"{text}.{self.sign(self._session(text))}"
        return Session(token=token, principal=_at_console(principal), expires_at=expires_at)

    async def signed_in(self, token: str) -> Session:
        """The session that a browser presents; raises Unauthorized once its time or its key is over."""
        text, _, proof = token.rpartition(".")
        key_id, _, expires = text.partition(".")
        if not self.verify(self._session(text), proof):
            raise Unauthorized("This session is not valid; sign in again")
        now = clock.now()
        expires_at = datetime.fromtimestamp(int(expires), tz=now.tzinfo)
        if expires_at <= now:
            raise Unauthorized("This session has expired; sign in again")
        return Session(token=token, principal=_at_console(await self._by_id(key_id)), expires_at=expires_at)

    async def _by_id(self, key_id: str) -> Principal:
        if key_id == OPERATOR:
            return Principal(actor=f"key:{OPERATOR}", scopes=IMPLIED["admin"], name=OPERATOR, key_id=OPERATOR)
        self._refuse_in_the_past()
        key, _ = await self._log.load(key_id, rules.evolve)
        if key is None:
            raise Unauthorized("Invalid API key")
        rules.check(key, clock.now())
        return _of(key)

    def _refuse_in_the_past(self) -> None:
        if self._log.until is not None:
            # A key that was revoked since would open the past, in which it was not.
            raise Unauthorized("This server shows the past and takes one key alone, which it printed when it started")

    def _session(self, text: str) -> str:
        """What a session's proof is made over; an operator's session ends when the operator's key changes."""
        bound_to = (self._admin or b"").hex() if text.startswith(f"{OPERATOR}.") else ""
        return f"session\0{text}\0{bound_to}"

    def of_run(self, run_id: str) -> str:
        """The key that a run's own code gets."""
        return f"{RUN_PREFIX}_{run_id}_{self._proof(run_id)}"

    def sign(self, text: str) -> str:
        """A proof that this installation wrote the text."""
        return hmac.new(self._secret, f"token\0{text}".encode(), "sha256").hexdigest()

    def verify(self, text: str, proof: str) -> bool:
        """Whether this installation wrote the text; compared in constant time."""
        return hmac.compare_digest(self.sign(text).encode(), proof.encode(errors="replace"))

    def _proof(self, run_id: str) -> str:
        return hmac.new(self._secret, f"run\0{run_id}".encode(), "sha256").hexdigest()[:48]

    async def _note_use(self, key_id: str, now: datetime, address: str | None) -> None:
        noted = self._noted.get(key_id)
        if noted is not None and now - noted < rules.USE_NOTED_EVERY:
            return
        self._noted[key_id] = now
        _, at = await self._log.load(key_id, rules.evolve)
        author = Author(f"key:{key_id}", address=address)
        try:
            await self._log.append(Change(key_id, at, [KeyUsed(key_id=key_id)]), author=author)
        except StreamMoved:
            self._noted.pop(key_id, None)  # noted by the next use


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks for. With `deployment_ids` the key is bound to these deployments."""

    name: str
    scopes: list[Scope]
    expires_at: datetime | None = None
    deployment_ids: list[str] = []


async def create(
    log: EventLog,
    wanted: NewKey,
    author: Author,
    idempotency: Idempotency | None = None,
) -> tuple[str, str]:
    """Hand out a key; returns its id and the key itself, which nobody can see again.

    Nor can who repeats the request: that is a Conflict, which names the key that there is.
    """
    if (earlier := await made(log, idempotency)) is not None:
        raise Conflict("This request made an API key already, which was shown then and cannot be again", id=earlier)
    key_id = ids.new("key")
    secret = ids.random_text(SECRET_CHARACTERS)
    created = rules.create(
        key_id, wanted.name, wanted.scopes, _hash(secret), wanted.expires_at, clock.now(), wanted.deployment_ids
    )
    try:
        await log.append(Change(key_id, 0, created), *making(idempotency, key_id), author=author)
    except StreamMoved:
        raise Conflict("This request is being answered under the same Idempotency-Key") from None
    return key_id, f"{PREFIX}_{key_id.removeprefix('key_')}_{secret}"


async def revoke(log: EventLog, key_id: str, author: Author) -> None:
    """Make a key open nothing any more."""

    async def attempt() -> None:
        key, at = await log.load(key_id, rules.evolve) if key_id.startswith("key_") else (None, 0)
        if key is None:
            raise NotFound(f"API key {key_id} not found")
        if revoked := rules.revoke(key):
            await log.append(Change(key_id, at, revoked), author=author)

    await decide(attempt)


def _of(key: rules.Key) -> Principal:
    return Principal(
        actor=f"key:{key.id}", scopes=key.scopes, deployment_ids=key.deployment_ids, name=key.name, key_id=key.id
    )


def _at_console(principal: Principal) -> Principal:
    return msgspec.structs.replace(principal, actor=f"console:{principal.name}")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

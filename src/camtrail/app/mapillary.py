"""Mapillary's nine tools: the workflows of `process`, `write` and `upload` under the names people know."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from camtrail.app import import_meta, pictures
from camtrail.app import process as app
from camtrail.app.accounts import REAL_ORIGIN, Accounts, Profile, authenticate_by_password
from camtrail.app.context import Context
from camtrail.app.feeds import is_track
from camtrail.app.mapillary_options import ToolOptions
from camtrail.app.mapillary_service import open_client, origin_of
from camtrail.app.process import ProcessOptions, Result
from camtrail.app.settle import Settled, carried, is_nothing_there, settle
from camtrail.app.state import Workspace, workspaces
from camtrail.app.upload import NEW_TOKEN, Uploaded, ledger_of, ledger_path, send, uncertain_calls
from camtrail.app.write import Written, check_options, locked, write
from camtrail.app.write import settle as settle_files
from camtrail.app.write_options import ImportMetaOptions, Owner, Told, WriteOptions
from camtrail.catalog.ledger import Ledger
from camtrail.catalog.store import Catalog
from camtrail.core.errors import (
    AuthError,
    BadAnswer,
    CamtrailError,
    InputError,
    Rejected,
    ServiceError,
    UsageError,
    failure_of,
    worst,
)
from camtrail.core.model import Places, Ranks
from camtrail.core.names import shown
from camtrail.core.secrets import Secret
from camtrail.services.mapillary.client import Client
from camtrail.transfer.retry import patiently

__all__ = [
    "Access",
    "Done",
    "geotag_process",
    "import_metadata_process",
    "insert_exif_image_description",
    "process",
    "process_and_upload",
    "sequence_process",
    "upload",
    "upload_params_process",
    "user_process",
]

T = TypeVar("T")

log = logging.getLogger(__name__)

_RANKS = [f.name for f in dataclasses.fields(Ranks)]
_HEADING = [f.name for f in dataclasses.fields(Places)].index("heading_deg")
_SEQUENCE, _COPY_OF = _RANKS.index("sequence"), _RANKS.index("duplicate_of")
# Stages whose results the catalog keeps; the angle is what geotagging was told to add to headings.
_USER, _META, _PARAMS, _ANGLE = "user", "import_meta", "upload_params", "offset_angle"


@dataclass(frozen=True, slots=True)
class Access:
    """Accounts, and how the service is reached.

    `ask` gives e-mail and password of a user name; None where nobody can be asked.
    """

    accounts: Accounts
    base_url: str = ""
    client_token: Secret | None = None
    ask: Callable[[str], tuple[str, Secret] | None] | None = None

    @property
    def origin(self) -> str:
        """The service, as tokens and the ledger know it."""
        return origin_of(self.base_url)

    def client(self, token: Secret, context: Context, connections: int = 1) -> Client:
        """Calls of the service in the name of a token's owner."""
        return open_client(self.base_url, token, context.clock, connections)


@dataclass(slots=True)
class Done:
    """What a tool came to."""

    result: Result
    user_name: str = ""
    organization_key: str = ""
    written: Written | None = None
    settled: Settled | None = None
    uploaded: Uploaded | None = None
    import_meta: Counter[str] | None = None  # MAP key -> photos of which it was settled, by that stage
    has_sequenced: bool = False  # the sequences are this run's, not those of an earlier one
    passed_over: list[str] = field(default_factory=list)  # stages that lacked what they need
    not_ready: Counter[str] = field(default_factory=Counter)  # reason -> photos

    def exit_code(self, fail_on: Sequence[str] = ()) -> int:
        """0, or that of the gravest failure."""
        failures = [*self.result.failures]
        for part in (self.written, self.uploaded if self.uploaded else self.settled):
            failures += part.failures if part else []
        return worst({self.result.exit_code(fail_on), *(f.exit_code for f in failures)})


# The stages, one by one.


def user_process(paths: Sequence[str], options: ToolOptions, access: Access, context: Context) -> Done:
    """Settles whose photos they are.

    Raises
    ------
    UsageError
        No user name is given.
    """
    _need_name(options)
    done = Done(app.scan(_photos(paths, context), options.process, context))
    owner = _settle_user(done.result, options, access, context)
    done.user_name, done.organization_key = owner.user_name, owner.organization_key
    return done


def import_metadata_process(paths: Sequence[str], options: ToolOptions, context: Context) -> Done:
    """Settles what is known of camera and import; the photos' own EXIF, a JSON file, options, the last wins."""
    import_meta.check(options.meta)
    import_meta.said_in(options.meta, context)
    done = Done(app.scan(_photos(paths, context), options.process, context))
    done.import_meta = _settle_meta(done.result, options.meta, context)
    return done


def geotag_process(paths: Sequence[str], options: ToolOptions, context: Context) -> Done:
    """Finds when and where each photo was taken; the offset angle is kept for the headings of sequences."""
    done = Done(app.geotag(paths, options.process, context))
    _keep_angle(done.result, options)
    return done


def sequence_process(paths: Sequence[str], options: ToolOptions, context: Context) -> Done:
    """Puts photos into sequences by the places that geotagging found.

    Raises
    ------
    InputError
        Nothing was geotagged yet.
    """
    named = _photos(paths, context)
    _need(_placed, "geotag_process", named, options, context)
    return Done(_sequenced(named, options, context), has_sequenced=True)


def upload_params_process(
    paths: Sequence[str], options: ToolOptions, access: Access, context: Context
) -> Done:
    """Settles what an upload needs, and sends nothing.

    Raises
    ------
    UsageError
        No user is known.
    InputError
        Photos have not been put into sequences.
    """
    named = _photos(paths, context)
    _need(_ranked, "sequence_process", named, options, context)
    done = Done(app.scan(named, options.process, context))
    owner = _owner(done.result, options, access, context)
    done.user_name, done.organization_key = owner.user_name, owner.organization_key
    done.settled = _settle_params(done.result, owner, options, access, context)
    return done


def insert_exif_image_description(paths: Sequence[str], options: ToolOptions, context: Context) -> Done:
    """Writes what the stages found into the photos, with the description that Mapillary reads. Undoable.

    Raises
    ------
    InputError
        Photos have not been geotagged or put into sequences.
    FolderBusy
        Another run owns the folder.
    """
    named = _photos(paths, context)
    _need(_placed, "geotag_process", named, options, context)
    _need(_ranked, "sequence_process", named, options, context)
    to = _writing(options.to)
    if options.stages.skip_insert_exif:
        to = dataclasses.replace(to, write="none", output="")
    check_options(to, options.meta)
    with _ours(named, options, to, context):
        done = Done(app.scan(named, options.process, context))
        done.result.command = "insert_EXIF_ImageDescription"
        if to.write == "none":
            done.result.notes.append("nothing is written into the photos, as an option says")
        owner = _kept_or_named(done.result, options)
        done.user_name, done.organization_key = owner.user_name, owner.organization_key
        done.written = _insert(
            done.result, to, options.meta, _told(done.result, owner, context), None, context
        )
        return done


def process(paths: Sequence[str], options: ToolOptions, access: Access, context: Context) -> Done:
    """All stages up to the descriptions in the photos.

    A stage that is skipped gives what an earlier run kept; where there is nothing, the stages that need it are
    passed over, and the photos are not ready for an upload.

    Raises
    ------
    UsageError
        No user name is given, or options contradict each other.
    FolderBusy
        Another run owns the folder.
    """
    to = _checked(options, context)
    with _ours(_photos(paths, context), options, to, context):
        return _process(paths, options, to, access, context)


def upload(paths: Sequence[str], options: ToolOptions, access: Access, context: Context) -> Done:
    """Sends the photos that are ready; none twice.

    Raises
    ------
    UsageError
        Nobody knows to which account.
    AuthError
        There is no token, or the service does not take it.
    FolderBusy
        Another run owns the folder, or uploads to the account.
    """
    named = _photos(paths, context)
    with _ours(named, options, WriteOptions(write="exif", wait=options.to.wait), context):
        return _upload(named, options, access, context)


def process_and_upload(paths: Sequence[str], options: ToolOptions, access: Access, context: Context) -> Done:
    """`process`, then `upload`, as one run.

    Where the upload as a whole fails, that stands among the failures of the result: the photos are prepared.
    """
    to = _checked(options, context)
    named = _photos(paths, context)
    with _ours(named, options, dataclasses.replace(to, write="exif"), context):
        made = _process(paths, options, to, access, context)
        if options.to.dry_run:
            return made
        try:
            sent = _upload(named, options, access, context)
        except CamtrailError as e:
            made.result.failures.append(failure_of("upload", e))
            return made
    made.settled, made.uploaded, made.not_ready = sent.settled, sent.uploaded, sent.not_ready
    made.result.notes += [note for note in sent.result.notes if note not in made.result.notes]
    made.result.elapsed_s += sent.result.elapsed_s
    return made


def _process(
    paths: Sequence[str], options: ToolOptions, to: WriteOptions, access: Access, context: Context
) -> Done:
    skip = options.stages
    named = _photos(paths, context)
    has_places = not skip.skip_geotagging or _any(_placed, named, options, context)
    has_ranks = has_places and (not skip.skip_sequence_processing or _any(_ranked, named, options, context))
    is_sequenced = has_places and not skip.skip_sequence_processing
    if skip.skip_geotagging and is_sequenced:
        result = _sequenced(named, options, context)
    elif skip.skip_geotagging:
        result = app.scan(named, options.process, context)
    elif skip.skip_sequence_processing:
        result = app.geotag(paths, options.process, context, keep_ranks=True)
    else:
        result = app.process(paths, options.process, context)
    if not skip.skip_geotagging:
        _keep_angle(result, options)
    result.command = "process"
    done = Done(result, has_sequenced=is_sequenced)
    if skip.skip_user_processing:
        owner = _kept_or_named(result, options)
    else:
        owner = _settle_user(result, options, access, context)
    done.user_name, done.organization_key = owner.user_name, owner.organization_key
    if not skip.skip_import_meta_processing:
        _settle_meta(result, options.meta, context)
    if not has_ranks:
        _pass_over(done, options, has_places=has_places)
        return done
    told = _told(result, owner, context)
    if not skip.skip_upload_params_processing:
        done.settled = _settle_params(result, owner, options, access, context, told)
        done.not_ready = done.settled.not_ready
    if not skip.skip_insert_exif and to.write != "none":
        fresh = None if skip.skip_geotagging or skip.skip_sequence_processing else options.process
        meta = ImportMetaOptions() if skip.skip_import_meta_processing else options.meta
        done.written = _insert(result, to, meta, told, fresh, context)
    return done


def _pass_over(done: Done, options: ToolOptions, *, has_places: bool) -> None:
    """Says which stages are passed over, and why the photos are not ready."""
    skip = options.stages
    later = ["upload_params_process", "insert_EXIF_ImageDescription"]
    gone = [skip.skip_upload_params_processing, skip.skip_insert_exif or options.to.write == "none"]
    stages = [name for name, is_skipped in zip(later, gone) if not is_skipped]
    if not has_places and not skip.skip_sequence_processing:
        stages.insert(0, "sequence_process")
    lacks = "sequences" if has_places else "places"
    done.passed_over = stages
    if stages:
        done.result.notes.append(
            f"passed over: {', '.join(stages)}: the stage that finds {lacks} was skipped, and no earlier run kept any"
        )
    usable = sum(
        o not in ("unreadable", "unsupported") for c in done.result.collections for o in c.outcomes()
    )
    if usable:
        done.not_ready["no sequence"] = usable


def _upload(
    paths: Sequence[str],
    options: ToolOptions,
    access: Access,
    context: Context,
) -> Done:
    result = app.scan(paths, options.process, context)
    result.command = "upload"
    done = Done(result)
    owner = _owner(result, options, access, context)
    done.user_name, done.organization_key = owner.user_name, owner.organization_key
    told = _told(result, owner, context, with_digests=False)
    if options.to.dry_run:
        done.settled = _settle_params(result, owner, options, access, context, told)
        done.not_ready = done.settled.not_ready
        return done
    if is_nothing_there(result):  # nobody needs to be asked
        found = settle(result, None, access.origin, "", ImportMetaOptions(), told, context)
        _keep_params(result, found, owner)
        done.settled, done.not_ready = found, found.not_ready
        done.uploaded = Uploaded(found.left, found.not_ready, failures=found.failures, notes=found.notes)
        return done
    with closing(access.client(_token(owner, access), context, options.upload.number_threads)) as client:
        _sent(done, owner, told, client, options, access, context)
    return done


def _sent(
    done: Done,
    owner: Owner,
    told: Told,
    client: Client,
    options: ToolOptions,
    access: Access,
    context: Context,
) -> None:
    """The photos of a result at the service, and what became of them."""
    if options.upload.retry_uncertain and options.upload.accept_uncertain:
        raise UsageError("--retry-uncertain and --accept-uncertain contradict each other", "give one of them")
    result = done.result
    me = _asked(client.me, options, context)
    if owner.user_name and me.name and me.name != owner.user_name:
        name = shown(me.name)
        log.warning("the token belongs to %s, not to %s: images go to %s", name, shown(owner.user_name), name)
    organization_id = None
    if key := owner.organization_key:
        organization_id = _organization(key, client, options, context)
    with ledger_of(options.upload, access.origin, me.id, context, wait=options.to.wait) as ledger:
        ledger.put_account(access.origin, owner.user_name or me.name, me.id)
        ledger.settle(access.origin, me.id)
        found = _settled(result, ledger, me.id, told, options, access, context)
        if options.upload.accept_uncertain and found.uncertain:
            for number in found.uncertain:
                ledger.end(number, "done", "as its user says")
            found = _settled(result, ledger, me.id, told, options, access, context)
        _keep_params(result, found, owner)
        done.settled, done.not_ready = found, found.not_ready
        done.uploaded = send(
            result,
            found,
            ledger,
            client,
            access.origin,
            me.id,
            organization_id,
            options.upload,
            context,
        )
        done.uploaded.failures += uncertain_calls(found.uncertain.values())
        if options.upload.retry_uncertain or options.upload.reupload:
            _forget_answered(ledger, access.origin, me.id)
    if not done.user_name:
        done.user_name = me.name


def _settled(
    result: Result,
    ledger: Ledger,
    account: str,
    told: Told,
    options: ToolOptions,
    access: Access,
    context: Context,
) -> Settled:
    return settle(
        result, ledger, access.origin, account, ImportMetaOptions(), told, context,
        reupload=options.upload.reupload, retry_uncertain=options.upload.retry_uncertain,
    )  # fmt: skip


def _forget_answered(ledger: Ledger, origin: str, account: str) -> None:
    """Calls whose outcome nobody knew are of no interest where all their pictures are published meanwhile."""
    for call in ledger.calls(origin, account, ("uncertain",)):
        if set(call.items) <= ledger.done(origin, account, call.items):
            ledger.end(call.number, "dropped")


def _asked(call: Callable[[], T], options: ToolOptions, context: Context) -> T:
    """What the service says of an account, asked for as often as it takes."""
    try:
        return patiently(
            call,
            clock=context.clock,
            random=random.Random(),  # noqa: S311 - spreads waiting
            most_wait_s=options.upload.max_wait_s,
        )
    except AuthError as e:
        raise AuthError(e.message, NEW_TOKEN) from e
    except Rejected as e:  # no photo's fault
        raise BadAnswer(e.message, e.hint or "check the address of the service and the token") from e


def _organization(key: str, client: Client, options: ToolOptions, context: Context) -> str:
    """The id of an organization. Raises UsageError where there is none of that key."""
    try:
        return _asked(lambda: client.organization(key), options, context).id
    except BadAnswer as e:
        if isinstance(e.__cause__, Rejected):
            raise UsageError(e.message, "check --organization_key") from e
        raise


# What the stages keep and need.


def _photos(paths: Sequence[str], context: Context) -> list[str]:
    """PATHs that are no tracks."""
    return [p for p in paths if not is_track(p, context)]


def _writing(to: WriteOptions) -> WriteOptions:
    """Into the photos, where nothing else is said; with the description."""
    return dataclasses.replace(to, write=to.write or "exif", description=True)


def _checked(options: ToolOptions, context: Context) -> WriteOptions:
    """Where the answers go. Raises UsageError, InputError where options cannot be followed, before anything is done."""
    if not options.stages.skip_user_processing:
        _need_name(options)
    to = _writing(options.to)
    check_options(to, options.meta)
    import_meta.said_in(options.meta, context)
    return to


@contextmanager
def _ours(paths: Sequence[str], options: ToolOptions, to: WriteOptions, context: Context) -> Iterator[None]:
    """The folders are ours alone while the block runs, unless nothing is changed."""
    if to.write == "none" or options.to.dry_run:
        yield
        return
    scan = options.process.scan
    spaces = workspaces(context.fs, paths, scan.state_dir, flat=scan.skip_subfolders)
    with locked(spaces, to.wait, context):
        for space in spaces:
            settle_files(space, context)
        yield


def _placed(catalog: Catalog, folder: str) -> bool:
    return bool(catalog.places(folder))


def _ranked(catalog: Catalog, folder: str) -> bool:
    return any(
        row[_SEQUENCE] is not None or row[_COPY_OF] is not None for row in catalog.ranks(folder).values()
    )


_Has = Callable[[Catalog, str], bool]


def _any(has: _Has, paths: Sequence[str], options: ToolOptions, context: Context) -> bool:
    """Whether an earlier run kept something of any photo at PATHs."""
    scan = options.process.scan
    for space in workspaces(context.fs, paths, scan.state_dir, flat=scan.skip_subfolders):
        if not space.has_catalog(context.fs):
            continue
        with Catalog(space.catalog) as catalog:
            if any(has(catalog, space.relative(root)) for root in space.roots):
                return True
    return False


def _need(has: _Has, stage: str, paths: Sequence[str], options: ToolOptions, context: Context) -> None:
    if not paths:
        raise UsageError("no photo or folder is given", "name a folder of photos")
    if not _any(has, paths, options, context):
        raise InputError(
            paths[0],
            f"{stage} has not run here",
            f"run camtrail mapillary {stage} first, or camtrail mapillary process for all stages",
        )


def _keep_angle(result: Result, options: ToolOptions) -> None:
    """Keeps what is to be added to the headings of the photos that were geotagged, in place of what was."""
    angle = options.process.turn.offset_angle_deg
    for space, c in zip(result.spaces, result.collections):
        paths, headings = c.photos.path.tolist(), c.places.heading_deg.tolist()
        with Catalog(space.catalog) as catalog:
            if angle:
                catalog.keep(_ANGLE, {p: f"{angle!r} {h!r}" for p, h in zip(paths, headings)})
            elif catalog.kept(_ANGLE):
                catalog.drop_kept(_ANGLE, paths)


def _sequenced(paths: Sequence[str], options: ToolOptions, context: Context) -> Result:
    """Sequences by the places that are kept; where no offset angle is given, that of geotagging is added."""
    turned_deg: dict[str, float] = {}
    scan = options.process.scan
    if not options.process.turn.offset_angle_deg:
        for space in workspaces(context.fs, paths, scan.state_dir, flat=scan.skip_subfolders):
            with Catalog(space.catalog) as catalog:
                if kept := catalog.kept(_ANGLE):
                    turned_deg |= _angles(kept, catalog.places(), space)
    return app.sequence(paths, options.process, context, turned_deg=turned_deg or None)


def _angles(
    kept: Mapping[str, str], places: Mapping[str, tuple[Any, ...]], space: Workspace
) -> dict[str, float]:
    """Angles by absolute path, where the heading is still the one that geotagging found with them."""
    found: dict[str, float] = {}
    for path, value in kept.items():
        angle, _, heading = value.partition(" ")
        now = places[path][_HEADING] if path in places else None
        if heading == repr(math.nan if now is None else now):
            found[space.absolute(path)] = float(angle)
    return found


def _need_name(options: ToolOptions) -> None:
    if not options.account.user_name:
        raise UsageError("no user name is given", "give --user_name NAME, as you are called at Mapillary")


def _settle_user(result: Result, options: ToolOptions, access: Access, context: Context) -> Owner:
    """Whose photos they are, kept for the stages to come."""
    name = options.account.user_name
    profile = access.accounts.find(name)
    if access.accounts.token(profile, access.origin) is None:
        profile = _logged_in(name, access, context) or profile
        if access.accounts.token(profile, access.origin) is None:
            log.warning(
                "there is no token for %s at %s: photos are prepared; an upload needs one "
                "(camtrail mapillary authenticate)",
                shown(name), access.origin,
            )  # fmt: skip
    owner = _owner_of(name, profile, options)
    value = json.dumps(dataclasses.asdict(owner))
    for space in result.spaces:
        with Catalog(space.catalog) as catalog:
            catalog.keep(_USER, {"": value})
    return owner


def _logged_in(name: str, access: Access, context: Context) -> Profile | None:
    """The profile of who gave e-mail and password; None where nobody could be asked."""
    if access.ask is None or access.client_token is None or (given := access.ask(name)) is None:
        return None
    try:
        return authenticate_by_password(
            access.accounts, name, *given,
            client_token=access.client_token, base_url=access.base_url, clock=context.clock,
        )  # fmt: skip
    except ServiceError as e:
        log.warning("%s", e)
        return None


def _owner_of(name: str, profile: Profile | None, options: ToolOptions) -> Owner:
    organization, is_private = options.account.organization_key, options.account.private
    if profile is None:
        return Owner(user_name=name, organization_key=organization, is_private=is_private)
    return Owner(
        user_name=profile.user_name or name,
        user_key=profile.user_key
        if profile.origin == REAL_ORIGIN
        else "",  # of a stand-in nobody else knows it
        organization_key=organization or profile.organization_key,
        is_private=is_private,
    )


def _kept_owner(spaces: Sequence[Workspace], name: str = "") -> Owner | None:
    """The user of an earlier run, of several the one of that name; None where there was none. Raises UsageError."""
    found: dict[str, Owner] = {}
    for space in spaces:
        with Catalog(space.catalog) as catalog:
            value = catalog.kept(_USER).get("")
        if value is not None:
            owner = Owner(**json.loads(value))
            found.setdefault(owner.user_name, owner)
    if name not in found:
        _only_one(list(found))
    return found.get(name) or next(iter(found.values()), None)


def _kept_or_named(result: Result, options: ToolOptions) -> Owner:
    """The user of an earlier run, else of the option, of whom nothing more is known then."""
    name = options.account.user_name
    return _kept_owner(result.spaces, name) or Owner(user_name=name)


def _only_one(names: Sequence[str]) -> None:
    if len(names) > 1:
        raise UsageError(
            f"the photos belong to several users: {', '.join(map(shown, sorted(names)))}",
            "name the folders of one user at a time, or give --user_name NAME",
        )


def _owner(result: Result, options: ToolOptions, access: Access, context: Context) -> Owner:
    """Of the option, else of user_process, else of the descriptions, else the only profile, else of the token.

    Raises UsageError with the profiles there are.
    """
    if name := options.account.user_name:
        return _owner_of(name, access.accounts.find(name), options)
    if (kept := _kept_owner(result.spaces)) is not None:
        more = options.account.organization_key or kept.organization_key
        is_private = options.account.private or kept.is_private
        return dataclasses.replace(kept, organization_key=more, is_private=is_private)
    names = _described_names(result)
    _only_one(names)
    if names:
        return _owner_of(names[0], access.accounts.find(names[0]), options)
    only = access.accounts.only()
    if only is not None:
        return _owner_of(only.user_name or only.name, only, options)
    if access.accounts.token(None, access.origin) is not None:
        return Owner(organization_key=options.account.organization_key)
    profiles = ", ".join(shown(p.name) for p in access.accounts.profiles()) or "none yet"
    raise UsageError(f"nobody says to which account; profiles: {profiles}", "give --user_name NAME")


def _described_names(result: Result) -> list[str]:
    """User names in the descriptions that the files carry."""
    found: set[str] = set()
    for c in result.collections:
        for description in c.photos.description.tolist():
            name = (carried(description) or {}).get("MAPSettingsUsername")
            if isinstance(name, str) and name:
                found.add(name)
    return sorted(found)


def _token(owner: Owner, access: Access) -> Secret:
    profile = access.accounts.find(owner.user_name) if owner.user_name else None
    token = access.accounts.token(profile, access.origin)
    if token is None:
        raise AuthError(
            f"there is no token for {shown(owner.user_name) or 'any account'} at {access.origin}",
            "run camtrail mapillary authenticate, or set MAPILLARY_TOKEN",
        )
    return token


def _settle_meta(result: Result, meta: ImportMetaOptions, context: Context) -> Counter[str]:
    """Keeps what options and files say of camera and import, photo by photo; of how many photos which MAP key."""
    settled: Counter[str] = Counter()
    given = import_meta.import_meta(result, meta, _dates_kept(result, context), context, result.notes)
    for space, c in zip(result.spaces, result.collections):
        values: dict[str, str] = {}
        for path, item, description in zip(c.photos.path.tolist(), c.items(), c.photos.description.tolist()):
            keys = import_meta.keys_of(item, description, meta, given)
            settled.update(list(keys))
            values[path] = json.dumps(keys, sort_keys=True)
        with Catalog(space.catalog) as catalog:
            catalog.keep(_META, values)
    return settled


def _dates_kept(result: Result, context: Context) -> dict[str, dict[str, Any]]:
    """Of what an earlier run kept only the date of the import, which is set once."""
    dates: dict[str, dict[str, Any]] = {}
    for file, keys in _kept_meta(result).items():
        tags = [t for t in (keys.get("MAPMetaTags") or {}).get("dates", ()) if t["key"] == "import_date"]
        if tags:
            dates[file] = {"MAPMetaTags": {"dates": tags}}
    return dates


def _kept_meta(result: Result) -> dict[str, dict[str, Any]]:
    """What import_metadata_process kept, by absolute path."""
    found: dict[str, dict[str, Any]] = {}
    for space in result.spaces:
        with Catalog(space.catalog) as catalog:
            kept = catalog.kept(_META)
        found |= {space.absolute(path): json.loads(value) for path, value in kept.items()}
    return found


def _told(result: Result, owner: Owner, context: Context, *, with_digests: bool = True) -> Told:
    """What the stages found out about the photos of a result."""
    found: dict[str, bytes | None] = {}
    for space, c in zip(result.spaces, result.collections) if with_digests else ():
        outcome = c.outcomes()
        rows = np.flatnonzero((outcome == "located") | (outcome == "estimated")).tolist()
        own, _ = pictures.digests(
            space, c.photos, rows, context
        )  # what cannot be read fails where it is used
        found |= {space.absolute(path): digest for path, digest in own.items()}
    return Told(owner=owner, meta=_kept_meta(result), digests=found)


def _insert(
    result: Result,
    to: WriteOptions,
    meta: ImportMetaOptions,
    told: Told,
    options: ProcessOptions | None,
    context: Context,
) -> Written:
    written = write(result, to, meta, context, options, told)
    if to.write == "exif" and not to.dry_run:
        for space, c in zip(result.spaces, result.collections):
            by_path = {
                p: told.digests[f] for p in c.photos.path.tolist() if (f := space.absolute(p)) in told.digests
            }
            pictures.carry(space, list(by_path), by_path)
    return written


def _settle_params(
    result: Result,
    owner: Owner,
    options: ToolOptions,
    access: Access,
    context: Context,
    told: Told | None = None,
) -> Settled:
    """What an upload would send, by what is known on this machine and kept of import metadata."""
    told = told or _told(result, owner, context, with_digests=False)
    path = ledger_path(options.upload)
    if not _is_there(path, context):
        found = settle(result, None, access.origin, "", ImportMetaOptions(), told, context)
    else:
        with Ledger(path) as ledger:
            account = ledger.account_key(access.origin, owner.user_name) or owner.user_key
            found = settle(
                result, ledger, access.origin, account, ImportMetaOptions(), told, context,
                reupload=options.upload.reupload, retry_uncertain=options.upload.retry_uncertain,
            )  # fmt: skip
    _keep_params(result, found, owner)
    return found


def _is_there(path: str, context: Context) -> bool:
    try:
        context.fs.entry(path)
    except CamtrailError:
        return False
    return True


def _keep_params(result: Result, found: Settled, owner: Owner) -> None:
    """Keeps what an upload would send, photo by photo, and for whom."""
    values: list[dict[str, str]] = [{"": json.dumps(dataclasses.asdict(owner))} for _ in result.spaces]
    for images in found.sequences.values():
        for index, image in enumerate(images):
            path = result.collections[image.collection].photos.path[image.row]
            row: Mapping[str, Any] = {
                "sequence": image.item.sequence, "index": index, "session": image.session, "bytes": image.size_bytes,
                "picture": image.picture.hex(),
            }  # fmt: skip
            values[image.collection][path] = json.dumps(row)
    for space, c, rows in zip(result.spaces, result.collections, values):
        with Catalog(space.catalog) as catalog:
            if catalog.kept(_PARAMS):
                catalog.drop_kept(_PARAMS, c.photos.path.tolist())
            catalog.keep(_PARAMS, rows)

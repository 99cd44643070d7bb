"""What photos say of their observations, read and written as XMP: ids and the identification.

The same tags as digiKam's exporter and the script inat_photos; ids of naturtag and of digiKam's older tags are
understood, too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from camtrail.core.bytes import ByteSource
from camtrail.core.errors import UnreadableFile
from camtrail.metadata.xmp_edit import Edit, NewItems, NewText, Removed
from camtrail.metadata.xmp_jpeg import read_xmp
from camtrail.metadata.xmp_packet import Name, Property, named, properties
from camtrail.services.inaturalist.wire import Observation, ObservationPhoto, Taxon, identification

__all__ = ["Known", "edits", "known_in", "properties_of"]

_OBSERVATION, _PHOTO_OF_IT, _PHOTO = (
    named(f"iNaturalist:{name}") for name in ("observation", "observationPhoto", "photo")
)
_OLDER = {
    _OBSERVATION: named("digiKam:iNaturalistObservationId"),
    _PHOTO_OF_IT: named("digiKam:iNaturalistObservationPhotoId"),
    _PHOTO: named("digiKam:iNaturalistPhotoId"),
}
_SUBJECT = named("dc:subject")
_TREES: Mapping[Name, str] = {named("lr:hierarchicalSubject"): "|", named("digiKam:TagsList"): "/"}
_ROOT = "iNaturalist"  # above all names of ours in a tree of keywords
_OF_NATURTAG = re.compile(r"inat:observation_id=([0-9]{1,18})|dwc:catalogNumber=([0-9]{1,18})")
_NUMBER = re.compile(r"[0-9]{1,18}")
_RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")


@dataclass(frozen=True, slots=True)
class Known:
    """What a photo says of its observation; None where it says nothing.

    An id is a number, or a UUID as text where a program wrote that.
    """

    observation: int | str | None = None
    observation_photo: int | str | None = None
    photo: int | str | None = None
    keywords: tuple[str, ...] = ()

    @property
    def is_photo(self) -> bool:
        """Whether it is said which photo it is: an observation alone may have several."""
        return self.observation is not None and not (self.observation_photo is None and self.photo is None)


def properties_of(source: ByteSource) -> Mapping[Name, Property]:
    """The XMP properties of a JPEG; none where there is no packet, or a damaged one. Raises UnreadableFile."""
    packet = read_xmp(source)
    if packet is None:
        return {}
    try:
        return properties(packet, source.name)
    except UnreadableFile:
        return {}  # writing refuses it, and says why


def known_in(found: Mapping[Name, Property]) -> Known:
    """Ids and keywords in the properties of a photo."""
    keywords = _texts(found, _SUBJECT)
    ids = [_id(found, name) for name in (_OBSERVATION, _PHOTO_OF_IT, _PHOTO)]
    if ids[0] is None:
        for keyword in keywords:
            if m := _OF_NATURTAG.fullmatch(keyword):
                ids[0] = int(m[1] or m[2])
                break
    return Known(ids[0], ids[1], ids[2], keywords)


def _texts(found: Mapping[Name, Property], name: Name) -> tuple[str, ...]:
    return found[name].texts if name in found else ()


def _id(found: Mapping[Name, Property], name: Name) -> int | str | None:
    for candidate in (name, _OLDER[name]):
        text = next(iter(_texts(found, candidate)), "").strip()
        if text:
            return int(text) if _NUMBER.fullmatch(text) else text
    return None


def edits(
    found: Mapping[Name, Property],
    observation: Observation,
    photo: ObservationPhoto,
    former: Collection[str],
    *,
    with_tree: bool = False,
    with_dwc: bool = False,
) -> list[Edit]:
    """What has a photo say which one it is and what it shows. What it says already is no change.

    Parameters
    ----------
    found : properties of the photo as it is
    former : identifications that this observation had before: keywords that are one of them are replaced
    with_tree : also keywords as trees, for Lightroom and digiKam
    with_dwc : also Darwin Core terms

    Notes
    -----
    All other keywords stay, whoever wrote them. Trees and terms that an earlier run wrote follow the identification,
    whether they are asked for again or not.
    """
    made: list[Edit] = [
        NewText(_OBSERVATION, str(observation.id)),
        NewText(_PHOTO_OF_IT, str(photo.id)),
        NewText(_PHOTO, str(photo.photo_id)),
    ]
    text = identification(observation.taxon)
    if text:
        made.append(_keyword(_texts(found, _SUBJECT), text, former))
    if observation.taxon is not None:
        for name, mark in _TREES.items():
            tree = _tree(_texts(found, name), name, mark, observation.taxon, former)
            if with_tree or tree.remove:
                made.append(tree)
    is_ours = _texts(found, named("dwc:occurrenceID")) == (observation.url,)
    if with_dwc or is_ours:
        made += _darwin_core(observation, found if is_ours else {})
    return made


def _keyword(there: Sequence[str], text: str, former: Collection[str]) -> NewItems:
    """The identification in the place of a former one, else at the end."""
    gone = [k for k in dict.fromkeys(there) if k in set(former) and k != text]
    if text in there or not gone:
        return NewItems(_SUBJECT, add=[text], remove=gone)
    return NewItems(_SUBJECT, add=[text], remove=gone[1:], replace=[(gone[0], text)])


def _tree(there: Sequence[str], name: Name, mark: str, taxon: Taxon, former: Collection[str]) -> NewItems:
    last = identification(taxon).replace(mark, " ")
    text = mark.join([_ROOT, *(a.name.replace(mark, " ") for a in taxon.ancestors), last])
    ours = {last, *(t.replace(mark, " ") for t in former)}
    in_root = (k for k in dict.fromkeys(there) if k.startswith(_ROOT + mark))
    gone = [k for k in in_root if k.rpartition(mark)[2] in ours and k != text]
    return NewItems(name, add=[text], remove=gone, kind="Seq" if mark == "/" else "Bag")


def _darwin_core(observation: Observation, ours: Mapping[Name, Property]) -> list[Edit]:
    """The terms that are sure: what it is and which record says so. No place: it may be a random one.

    Of `ours`, which an earlier run wrote, go those that were true of another taxon alone.
    """
    terms = {
        "occurrenceID": observation.url,
        "catalogNumber": str(observation.id),
        "institutionCode": "iNaturalist",
        "basisOfRecord": "HumanObservation",
        "eventDate": observation.date or "",
    }
    if (taxon := observation.taxon) is not None:
        terms |= {
            "taxonID": f"https://www.inaturalist.org/taxa/{taxon.id}",
            "scientificName": taxon.name,
            "taxonRank": taxon.rank,
            "vernacularName": taxon.common_name,
        }
        terms |= {a.rank: a.name for a in taxon.ancestors if a.rank in _RANKS}
    made: list[Edit] = [NewText(named(f"dwc:{term}"), value) for term, value in terms.items() if value]
    if "taxonID" in terms and _texts(ours, named("dwc:taxonID")) not in ((), (terms["taxonID"],)):
        stale = (
            named(f"dwc:{term}") for term in (*_RANKS, "taxonRank", "vernacularName") if not terms.get(term)
        )
        made += [Removed(name) for name in stale if name in ours]
    return made

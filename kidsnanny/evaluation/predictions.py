"""What goes into an evaluation and what comes out: an example with its label, what one system made of it, and what the
run rests on."""

from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from kidsnanny.inspection import Inspection
from kidsnanny.policy import Policy
from kidsnanny.records import CAVEATS, Caveat, Channel, Label, ModelId, NotInspected, Reason, Record
from kidsnanny.taxonomy import Category
from kidsnanny.verdict import CategoryScore

Regime = Literal["vision-only", "multimodal"]
Authority = Literal["asymmetric", "judge"]


class Example(NamedTuple):
    """One labelled picture of a data set."""

    id: str
    """Unique in the data set, and the same whenever it is read."""
    image: bytes | Path
    """As it lies in the data set: broken ones, too."""
    unsafe: bool
    category: str
    """The data set's own name for it, like `Sexual`; of a safe picture it is what was searched for."""
    source: str
    """Where it comes from, like `Laion5B` or `Lexica`; empty if the data set does not say."""
    split: str
    """Empty if the data set does not say."""
    text: str | None = None
    """What is written in the picture, as a person typed it; "": nothing is; None: the data set does not say."""


class Prediction(Record):
    """What one system made of one example: a line of the JSONL, and enough to replay the decision."""

    id: str
    system: str
    unsafe: bool
    """The label of the data set."""
    category: str
    source: str
    score: float | None = Field(default=None, ge=0, le=1)
    """How unsafe the system thinks it is, among the mapped categories; None: unscored, never a guess."""
    sha256: str | None = None
    """Of the picture as it lies in the data set; None of one that cannot be opened."""
    threshold: float = Field(gt=0, le=1)
    """The operating point: from it on, the system says unsafe."""
    unscored: str | None = None
    """Why there is no score."""
    label: Label | None = None
    """Of our own systems: what the policy made of it, over all categories."""
    mapped: tuple[Category, ...] = ()
    """Our categories that the data set's one stands for, as far as the system speaks about them."""
    detail: dict[Category, CategoryScore] = Field(default_factory=dict)
    decided_by: Channel | None = None
    """Whose word the score is; None if nobody found anything."""
    reasons: tuple[Reason, ...] = ()
    not_inspected: tuple[NotInspected, ...] = ()
    answer: str | None = None
    """A language model's own words, if it answers in words."""
    timings: dict[str, float] = Field(default_factory=dict)
    """Stage -> milliseconds."""
    models: dict[str, tuple[ModelId, ...]] = Field(default_factory=dict)
    policy: Policy | None = None
    """Of a system that decides by one: whole, so that the decision can be made again from the inspection."""
    inspection: Inspection | None = Field(default=None, exclude=True, repr=False)
    """Of our own systems: what was seen and read, the same for all rows. A run keeps it in a file of its own."""


class InspectedExample(Record):
    """One line of a run's inspections."""

    id: str
    inspection: Inspection


class SystemDescription(Record):
    """What a system says about itself; one system of the command line may give several rows of the tables."""

    name: str
    """As in `Prediction.system`: `nudenet`, `embedded:vision-only`, `standard:multimodal:judge`."""
    regime: Regime
    authority: Authority | None = None
    """Of our systems that have a judge."""
    ours: bool = False
    categories: tuple[Category, ...]
    """What it speaks about."""
    rule: str
    """How its answer becomes a score and a decision, in one sentence."""
    licence: str
    threshold: float = Field(gt=0, le=1)
    origin: str
    """Where the threshold comes from."""
    models: dict[str, tuple[ModelId, ...]]
    policy: str | None = None
    """Name and digest of the policy it decides by, if it does."""

    @property
    def caveats(self) -> tuple[Caveat, ...]:
        """The caveats that its models bear: what it says means nothing."""
        borne = {model.caveat for models in self.models.values() for model in models}
        return tuple(caveat for caveat in CAVEATS if caveat in borne)

    @property
    def caveat(self) -> str:
        """The same in words, to stand behind its name; empty if there is none."""
        return "".join(f" ({caveat} weights)" for caveat in self.caveats)


class DatasetContents(Record):
    """What is in a data set, as far as it was chosen."""

    pictures: int
    unsafe: int
    by: dict[Literal["split", "category", "source"], dict[str, tuple[int, int]]]
    """Column -> its value -> how many are safe, and how many unsafe."""
    digest: str
    """sha256 over id, label, category, source, split, content and text (if known) of each picture, in order."""


class LatencyMeasurement(Record):
    """Milliseconds a picture, measured apart from the run: see `protocol`."""

    protocol: str
    row: str
    milliseconds: tuple[float, ...]


class RunMetadata(Record):
    """What a run rests on, written before its first prediction; a run goes on only with the same."""

    data: str
    contents: DatasetContents
    generated: bool
    """The pictures are drawn and the labels are stand-ins: no figure says anything about a system."""
    contamination: tuple[str, ...]
    versions: dict[str, str]
    hardware: str
    command: str
    """That made it; several with `; ` between them."""
    warnings: tuple[str, ...] = ()
    """What must be read before any figure, like a threshold that was chosen on these very pictures."""
    systems: dict[str, tuple[SystemDescription, ...]] = Field(default_factory=dict)
    """Name on the command line -> its rows."""
    absent: dict[str, str] = Field(default_factory=dict)
    """Name on the command line -> why it could not be built."""

    @property
    def not_evaluated(self) -> dict[str, str]:
        """The same as sentences that begin with the name, once; figures of such a system are of an earlier go."""
        earlier = dict.fromkeys(self.systems, ", whose figures are of an earlier go")
        return {
            name: f"{name}{earlier.get(name, '')}: {why.removeprefix(f'{name}: ')}" for name, why in self.absent.items()
        }

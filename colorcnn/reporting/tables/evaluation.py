"""Tables of an evaluation: every measurement, margins, attacks, several classifiers, sizes of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from colorcnn.evaluation.scores import Verdict
from colorcnn.evaluation.statistics import (
    STARS_EXPLAINED,
    against_first,
    compare,
    corrected,
    leading_method,
    stars,
    stars_explained,
)
from colorcnn.reporting.markup import MISSING, Cell, Table, percent
from colorcnn.reporting.naming import attack_title, bits_of, family, plural
from colorcnn.reporting.view import ORIGINAL, SECOND_METRICS, RecordView


def full_table(view: RecordView) -> Table:
    """Return every measurement of the originals, each method and number of colours, and codecs.

    Methods are compared with the first one. Published numbers and, for several labels, the mean average
    precision have their own columns.
    """
    columns = _columns(view)
    methods = [(method, size) for method in view.methods for size in view.sizes]
    places = [(ORIGINAL, None), *methods, *((codec, None) for codec in view.codecs)]
    rows = [[name, _size(size), *(cell(name, size) for cell in columns.values())] for name, size in places]
    return Table(["method", "colours", *columns], rows, notes(view))


CellOf = Callable[[str, int | None], str]


def _columns(view: RecordView) -> dict[str, CellOf]:
    """Return the columns: title -> function of name and number of colours."""
    tests = against_first(view.metrics)

    def number(key: str, digits: int, unit: float = 1) -> CellOf:
        return lambda name, size: _number(getattr(view.score(name, size), key, None), digits, unit)

    def published(key: str) -> CellOf:
        return lambda name, size: percent(view.published(name, size, key), missing=MISSING)

    def accuracy(name: str, size: int | None) -> str:
        return percent(getattr(view.score(name, size), "accuracy", None), view.std(name, size), 2, MISSING)

    def interval(name: str, size: int | None) -> str:
        score = view.score(name, size)
        return "-".join(f"{100 * end:.2f}" for end in score.interval) if score else MISSING

    def difference(name: str, size: int | None) -> str:
        score, first = view.score(name, size), view.score(view.methods[0], size)
        if name not in tests or not score or not first:
            return MISSING
        test = tests[name].get(str(size))
        points = f"{100 * (score.accuracy - first.accuracy):+.2f}"
        return f"{points} {stars(test.p_value):3}" if test else points

    def colors(name: str, size: int | None) -> str:
        found = getattr(view.score(name, size), "colors", None)
        return f"{found.mean:.1f} ({found.least}-{found.most})" if found else MISSING

    def speed(name: str, size: int | None) -> str:
        return _number(view.speed(name) if size and view.score(name, size) else None, 0)

    columns: dict[str, CellOf] = {"accuracy %": accuracy, "95 % interval": interval}
    has_published = "published" in view.metrics
    if tests:
        columns["difference"] = difference
    if has_published:
        columns["published %"] = published("accuracy")
    for key, metric in SECOND_METRICS.items():
        if getattr(view.original, key) is not None:
            columns[f"{metric} %"] = number(key, 1, 100)
            if has_published:
                columns[f"published {metric} %"] = published(key)
    return {
        **columns,
        "PSNR dB": number("psnr", 2),
        "SSIM": number("ssim", 4),
        "colours used": colors,
        "file bpp": number("bits_per_pixel", 3),
        "index bpp": number("packed_bpp", 3),
        "palette bpp": number("palette_bpp", 3),
        "images/s": speed,
    }


def margin_table(view: RecordView, method: str | None = None) -> Table | None:
    """Return the differences of accuracy between a method and each other method in points, with stars.

    Args:
        view: of a record.
        method: the method; None: the leading learned method.

    Returns:
        The table, or None if there is nothing to compare.
    """
    leader = method or leading_method(view.metrics)
    if leader is None:
        return None
    tests = corrected(
        {
            (method, size): test
            for method in view.methods
            for size in view.sizes
            if method != leader
            and (test := compare(view.metrics, (leader, str(size)), (method, str(size)))) is not None
        }
    )
    rows = []
    for method in dict.fromkeys(method for method, _ in tests):
        cells = [""] * len(view.sizes)
        for place, size in enumerate(view.sizes):
            if (method, size) in tests:
                points = 100 * (view.scores(leader)[size].accuracy - view.scores(method)[size].accuracy)
                mark = stars(tests[method, size].p_value)
                cells[place] = f"{round(points, 1) + 0:+} {mark}".rstrip()  # + 0 turns -0.0 into 0.0
        rows.append([view.names[method], *cells])
    head: list[str | Cell] = [f"{view.names[leader]} minus method, points", *map(size_head, view.sizes)]
    return Table(head, rows, [f"Stars: {stars_explained(view.metrics)}."]) if rows else None


def attack_table(view: RecordView, attacks: Iterable[str]) -> Table:
    """Return accuracy under attack in per cent, a column for each attack and strength.

    Args:
        view: view of a record with attacks.
        attacks: names of its attacks.
    """
    columns = [(attack, at) for attack in attacks for at in view.attacks.epsilons]
    rows = []
    for name, size in view.scored_cells():
        results = [view.attacked(attack, name, size).get(at, (None, None)) for attack, at in columns]
        rows.append([name, _size(size), *(_accuracy(verdict) for verdict, _ in results)])
    return Table(["method", "colours", *(f"{attack} {at}" for attack, at in columns)], rows)


def transfer_table(view: RecordView) -> Table:
    """Return accuracy in per cent, a column for each classifier."""
    rows = []
    for name, size in view.scored_cells():
        score = view.score(name, size)
        verdicts = [score.judges.get(each) if score else None for each in view.judges]
        rows.append([name, _size(size), *map(_accuracy, verdicts)])
    return Table(["method", "colours", *view.judges], rows)


def file_table(view: RecordView) -> Table:
    """Return bits per pixel and accuracy of methods and codecs, the smallest files first."""
    _, *places = view.scored_cells()
    scores = [(name, size, score) for name, size in places if (score := view.score(name, size))]
    rows = [
        [name, str(size or MISSING), f"{score.bits_per_pixel:.3f}", percent(score.accuracy)]
        for name, size, score in sorted(scores, key=lambda row: row[2].bits_per_pixel or 0.0)
    ]
    return Table(["files", "colours", "bits per pixel", "accuracy %"], rows)


def text_tables(view: RecordView) -> str:
    """Return every table of an evaluation as plain text: all measurements, classifiers, attacks.

    Args:
        view: view of a record.
    """
    parts = [full_table(view).text()]
    if view.judges:
        parts.append(f"accuracy % with every classifier\n{transfer_table(view).text()}")
    if attacks := view.attacks.results:
        title = "accuracy % under attack, by the largest change of a value (0 to 255)"
        parts.append(f"{title}\n{attack_table(view, attacks).text()}")
    return "\n\n".join(parts)


def markdown_tables(view: RecordView) -> list[Table]:
    """Return the tables of a Markdown page after the accuracies, with readable names.

    With codecs: sizes of files. With several classifiers: accuracy with each. With attacks: accuracy under
    each; a method without a soft image has no row under an attack through the soft image, since the row would
    repeat the attack through the quantizer. Otherwise: differences to the learned method.
    """
    parts = []
    if not (view.codecs or view.judges or view.attacks.results) and (margins := margin_table(view)):
        parts.append(margins)
    if view.codecs:
        parts.append(_named(view, "files", file_table(view)))
    if view.judges:
        parts.append(_named(view, "accuracy % with", transfer_table(view)))
    for attack in view.attacks.results:
        title = f"accuracy % under {attack_title(attack)}, by largest change"
        table = _named(view, title, _without_copies(view, attack, attack_table(view, [attack])))
        parts.append(replace(table, head=[title, "colours", *map(str, view.attacks.epsilons)]))
    return parts


def _without_copies(view: RecordView, attack: str, table: Table) -> Table:
    """Return the table of an attack through soft images without the rows of methods that have none."""
    adaptive = f"{attack.partition(':')[0]}:adaptive"
    if not attack.endswith(":soft") or adaptive not in view.attacks.results:
        return table
    copied = attack_table(view, [adaptive]).rows
    return replace(table, rows=[row for row in table.rows if row not in copied])


def _named(view: RecordView, title: str, table: Table) -> Table:
    """Return a table with readable names in its first column."""
    rows = [[view.names[str(name)], *cells] for name, *cells in table.rows]
    return Table([title, *table.head[1:]], rows, table.notes)


def notes(view: RecordView) -> list[str]:
    """Return sentences about cells without a number, logits that are not finite, and published numbers."""
    found = [
        f"{method} at {size} colours is not available: {why}"
        for method in view.methods
        for size, why in view.unavailable(method).items()
    ]
    for name, size in view.scored_cells():
        score = view.score(name, size)
        if score and score.not_finite:
            where = "the originals" if name == ORIGINAL else name
            at = f" at {size} colours" if size else ""
            found.append(
                f"The classifier gave {score.not_finite} images of {where}{at} a logit that is not finite; "
                "they count as not recognised."
            )
    if "published" in view.metrics:
        found.append(f"Published numbers: {view.metrics['published']['source']}.")
        inferred = {family(method) for method in view.methods if view.inferred(method)}
        if inferred:
            found.append(f"Inferred from other numbers of the paper: {', '.join(sorted(inferred))}.")
    return found


def size_head(size: int) -> Cell:
    """Return the title of a column for a number of colours, with its bits in small print."""
    return Cell(plural(size, "colour"), small=bits_of(size))


def _size(size: int | None) -> str:
    return "all" if size is None else str(size)


def _accuracy(verdict: Verdict | None) -> str:
    return percent(verdict.accuracy if verdict else None, missing=MISSING)


def _number(value: float | None, digits: int, unit: float = 1) -> str:
    return MISSING if value is None else f"{unit * value:.{digits}f}"


def columns_explained(head: Iterable[str | Cell]) -> dict[str, str]:
    """Return title -> meaning of the columns of :func:`full_table`."""
    meanings = {
        "accuracy %": "share of the images that the classifier recognises after quantization",
        "95 % interval": "Wilson's score interval of that share",
        "difference": "accuracy minus that of the first method with as many colours, in points; "
        f"{STARS_EXPLAINED}",
        "published %": "the accuracy in a paper, with its own classifier and networks",
        "mAP %": "mean over the labels of the area under the precision-recall curve",
        "mIoU %": "mean over the classes of the intersection over union of all pixels",
        "published mIoU %": "the mean intersection over union in a paper",
        "published mAP %": "the mean average precision in a paper",
        "PSNR dB": "mean over images of the peak signal-to-noise ratio, at most 100 dB per image",
        "SSIM": "mean structural similarity, Gaussian window of 11 pixels",
        "colours used": "distinct colours in an image: mean (minimum-maximum)",
        "file bpp": "bits per pixel of whole files, headers included: indexed PNG (truecolour for the "
        "originals), or the codec's own",
        "index bpp": "bits per pixel of the index maps as PNG packs them, before compression",
        "palette bpp": "bits per pixel of the palettes, 24 bits per colour",
        "images/s": "quantized images per second, an image at 6 numbers of colours counts 6 times",
    }
    return {name: meanings[name] for name in map(str, head) if name in meanings}

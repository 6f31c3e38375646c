"""The tables made from the rows that `configs/compare.sh` keeps, in two languages: of all methods, and of variants."""

import json
from collections.abc import Iterable, Mapping, Sequence
from math import isclose
from pathlib import Path
from statistics import mean
from typing import Any

from core.errors import UserError
from core.files.whole import write_text

BAR = "monodepth2"  # the range of its seeds is what a difference must be larger than
LEAST_SEEDS = 3  # that make a range
# By the folder in configs/ whose READMEs have a table of them: the first is what the others are compared with; and
# what they are called there.
VARIANTS = {
    "featdepth": {
        "featdepth_baseline": "baseline",
        "featdepth": "mono_fm",
        "featdepth_joint": "mono_fm_joint",
    }
}
BEGIN, END = "<!-- the table of benchmarks/compare.py -->", "<!-- its end -->"
METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")
NO_ROWS = {
    "en": "Not measured yet: there are no rows in `configs/compare/`.",
    "zh": "尚未测量：`configs/compare/` 中还没有结果。",
}
NO_VARIANTS = {"en": "**Not measured yet:** {}.", "zh": "**尚未测量：**{}。"}
MEANS = "`{0}` against `{1}`: abs_rel {2:.3f} against {3:.3f} in the mean of the seeds"
MEANS_ZH = "`{0}` 与 `{1}`：种子平均 abs_rel {2:.3f} 与 {3:.3f}"
VERDICTS = {
    "en": {
        "open": f"{MEANS}. What that is worth is not known before one of them has three seeds.",
        "none": f"{MEANS}, less than the range of the seeds ({{4:.3f}}): **no difference**.",
        "lower": f"{MEANS}, **lower** by {{5:.3f}}; the range of the seeds is {{4:.3f}}.",
        "higher": f"{MEANS}, **higher** by {{5:.3f}}; the range of the seeds is {{4:.3f}}.",
    },
    "zh": {
        "open": f"{MEANS_ZH}。其中之一有三个种子之前，无法判断差异的意义。",
        "none": f"{MEANS_ZH}，差异小于种子的范围（{{4:.3f}}）：**无差异**。",
        "lower": f"{MEANS_ZH}，**低** {{5:.3f}}；种子的范围为 {{4:.3f}}。",
        "higher": f"{MEANS_ZH}，**高** {{5:.3f}}；种子的范围为 {{4:.3f}}。",
    },
}
HEADS = {
    "en": (
        *("", "seed", "needs", "steps", "million parameters: depth, all", *METRICS),
        *("abs_rel in metres", "against the bar"),
    ),
    "zh": (
        *("", "种子", "所需数据", "步数", "参数（百万）：深度网络，全部", *METRICS),
        *("以米计的 abs_rel", "与基准相比"),
    ),
}
WORDS = {
    "zh": {
        **{
            "video": "视频",
            "stereo": "双目",
            "speed": "车速",
            "sparse depth": "稀疏深度",
            "hints": "深度提示",
        },
        **{"best constant depth": "最佳常数深度", "best depth per image row": "每行最佳深度"},
        **{"median depth per pixel": "每像素深度中位数", "none": "无差异", "autoencoder": "自编码器"},
    }
}

Row = Mapping[str, Any]


def read_rows(folder: Path) -> list[Row]:
    """The rows of a folder, by abs_rel.

    Raises:
        UserError: a file is no row, or rows were made on different streets or within different seconds.
    """
    found: list[Row] = []
    for path in sorted(folder.glob("*.json")):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            cells(row, "en", None)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: is no row of the comparison ({error!r}); make it anew") from None
        if found and not _alike(row["yardsticks"], found[0]["yardsticks"]):
            raise UserError(
                f"{path}: was made on another street than {found[0]['row']}; make all rows on one"
            )
        if found and row["allowed_seconds"] != found[0]["allowed_seconds"]:
            raise UserError(
                f"{path}: had other processor seconds than {found[0]['row']}; make all rows alike"
            )
        found.append(row)
    return sorted(found, key=lambda row: row["metrics"]["abs_rel"])


def markdown(rows: Sequence[Row], language: str) -> str:
    """The yardsticks and all rows, and below them how they were made."""
    if not rows:
        return NO_ROWS[language]
    heads, bar = HEADS[language], bar_of(rows)
    lines = [_line(heads), _line("---" for _ in heads)]
    for name, metrics in rows[0]["yardsticks"].items():
        numbers = [f"{metrics[metric]:.3f}" for metric in METRICS]
        lines.append(_line([_word(name, language), "", "", "", "", *numbers, "", ""]))
    lines += [_line(cells(row, language, bar)) for row in rows]
    return "\n".join([*lines, "", footer(rows, language, bar)])


def bar_of(rows: Iterable[Row]) -> tuple[float, float, int] | None:
    """Least and greatest abs_rel of the seeds of the method that others are compared with, and how many there are.

    None where they are too few for a range.
    """
    found = [row["metrics"]["abs_rel"] for row in rows if row["row"] == BAR and row["backend"] == "torch"]
    return (min(found), max(found), len(found)) if len(found) >= LEAST_SEEDS else None


def against(row: Row, bar: tuple[float, float, int] | None) -> str:
    """The difference of abs_rel to the middle of the bar's range; `none` below its width; empty without a bar."""
    if bar is None or row["row"] == BAR:
        return ""
    difference = row["metrics"]["abs_rel"] - mean(bar[:2])
    return "none" if abs(difference) < bar[1] - bar[0] else f"{difference:+.3f}"


def cells(row: Row, language: str, bar: tuple[float, float, int] | None) -> list[str]:
    """The texts of a row's columns."""
    metres, counts = row["metrics_in_metres"], row["parameters"]
    steps = [
        f"{count}" if stage == "depth" else f"{_word(stage, language)} {count}"
        for stage, count in row["steps"].items()
    ]
    if "hints" in row["seconds"]:
        steps.insert(0, f"{_word('hints', language)} {row['seconds']['hints']:.0f} s")
    return [
        f"`{row['row']}`" + ("" if row["backend"] == "torch" else f" ({row['backend']})"),
        str(row["seed"]),
        ", ".join(_word(need, language) for need in row["needs"]),
        " + ".join(steps),
        f"{counts['depth'] / 1e6:.1f}, {counts['all'] / 1e6:.1f}",
        *(f"{row['metrics'][metric]:.3f}" for metric in METRICS),
        "" if metres is None else f"{metres['abs_rel']:.3f}",
        _word(against(row, bar), language),
    ]


def footer(rows: Sequence[Row], language: str, bar: tuple[float, float, int] | None) -> str:
    """Seconds, size, machines, and the bar."""
    seconds = f"{rows[0]['allowed_seconds']:g}"
    sizes = " / ".join(sorted({f"{row['width']}x{row['height']}" for row in rows}))
    machines = sorted({_machine(row["machine"]) for row in rows})
    commits = ", ".join(sorted({_short(row["commit"]) for row in rows if row.get("commit")}))
    if language == "zh":
        text = f"每行 {seconds} 处理器秒，{sizes}，从随机权重开始；{'；'.join(machines)}（cores = 核数）。"
        text += f"提交：{commits}。" if commits else ""
        if bar is None:
            return text + "基准尚未测量：需要 Monodepth2 的三个种子。"
        low, high, count = bar
        return text + (
            f"基准：Monodepth2 的 {count} 个种子，abs_rel {low:.3f} 至 {high:.3f}；"
            f"与其中点之差小于 {high - low:.3f} 的视为无差异。"
        )
    text = f"{seconds} processor seconds a row, {sizes}, from random weights; {'; '.join(machines)}. "
    text += f"Commits: {commits}. " if commits else ""
    if bar is None:
        return text + "The bar is not measured yet: it takes three seeds of Monodepth2."
    low, high, count = bar
    return text + (
        f"The bar: {count} seeds of Monodepth2, abs_rel {low:.3f} to {high:.3f}; a difference to their middle that is "
        f"smaller than {high - low:.3f} is called none."
    )


def variants(rows: Sequence[Row], names: Mapping[str, str], language: str) -> str:
    """The yardsticks and the seeds of some rows, and below them what the others are beside the first.

    Args:
        names: what the rows are called, by the rows; the first is what others are compared with.
    """
    found = {name: sorted(_of(rows, name), key=lambda row: row["seed"]) for name in names if _of(rows, name)}
    text = [_variant_table(rows, found, names, language), ""] if found else []
    if absent := [f"`{names[name]}`" for name in names if name not in found]:
        text += [NO_VARIANTS[language].format(", ".join(absent)), ""]
    first = next(iter(names))
    compared = [name for name in found if name != first] if first in found else []
    text += [
        f"- {verdict((names[name], names[first]), found[name], found[first], language)}" for name in compared
    ]
    return "\n".join(text).strip("\n")


def verdict(names: tuple[str, str], ours: Sequence[Row], theirs: Sequence[Row], language: str) -> str:
    """Whether the mean abs_rel of seeds differs from that of others by more than the range of three seeds of either."""
    one, other = ([row["metrics"]["abs_rel"] for row in seeds] for seeds in (ours, theirs))
    widths = [max(values) - min(values) for values in (one, other) if len(values) >= LEAST_SEEDS]
    difference, width = mean(one) - mean(other), max(widths, default=0.0)
    kind = (
        "open"
        if not widths
        else "none"
        if abs(difference) < width
        else "lower"
        if difference < 0
        else "higher"
    )
    return VERDICTS[language][kind].format(*names, mean(one), mean(other), width, abs(difference))


def _of(rows: Iterable[Row], name: str) -> list[Row]:
    return [row for row in rows if row["row"] == name and row["backend"] == "torch"]


def _variant_table(
    rows: Sequence[Row], found: Mapping[str, Sequence[Row]], names: Mapping[str, str], language: str
) -> str:
    """Without what the rows need and weigh; the size of the input stands beside the name."""
    kept = [number for number, head in enumerate(HEADS["en"]) if head not in ("needs", HEADS["en"][-1])]
    heads = [HEADS[language][number] for number in kept]
    lines = [_line(heads), _line("---" for _ in heads)]
    for name, metrics in rows[0]["yardsticks"].items():
        numbers = [f"{metrics[metric]:.3f}" for metric in METRICS]
        lines.append(_line([_word(name, language), "", "", "", *numbers, ""]))
    for name, seeds in found.items():
        for row in seeds:
            texts = cells(row, language, None)
            first = f"`{names[name]}` ({row['width']}x{row['height']})"
            lines.append(_line([first, *(texts[number] for number in kept[1:])]))
    return "\n".join(lines)


def update(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Writes the tables between the marks in the READMEs of a folder, and of those below that have one of variants.

    Returns:
        Their paths.

    Raises:
        UserError: a README lacks the marks; nothing is written then.
    """
    texts = {}
    for below, names in [("", None), *VARIANTS.items()]:
        for file, language in (("README.md", "en"), ("README.zh-CN.md", "zh")):
            table = markdown(rows, language) if names is None else variants(rows, names, language)
            texts[folder / below / file] = _between_marks(folder / below / file, table)
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _between_marks(path: Path, table: str) -> str:
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"{path}: the marks {BEGIN} and {END} are missing; put them where the table goes")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def _alike(one: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether yardsticks are the same but for what another processor adds up otherwise."""
    return one.keys() == other.keys() and all(
        isclose(value, other[name][metric], rel_tol=1e-5)
        for name, metrics in one.items()
        for metric, value in metrics.items()
    )


def _machine(machine: Mapping[str, Any]) -> str:
    return f"{machine['processor']}, {machine['cores']} cores, OMP_NUM_THREADS={machine['threads']}"


def _short(commit: str) -> str:
    """Its first digits, and the `+` of files that differed from it."""
    return commit[:9] + ("+" if commit.endswith("+") else "")


def _word(name: str, language: str) -> str:
    return WORDS.get(language, {}).get(name, name)


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"

"""Experiment files: variables, matrices, references, and what is wrong told in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from colorcnn.errors import ColorCNNError, UsageError
from colorcnn.reproduce.cache_key import key_of
from colorcnn.reproduce.library import find_experiment, measuring_stages, record_path
from colorcnn.reproduce.plan import Plan
from colorcnn.reproduce.reading import read_experiment
from colorcnn.reproduce.references import references, substitute
from colorcnn.reproduce.stages.base import StageContext
from colorcnn.reproduce.stages.evaluate import EvaluateStage
from colorcnn.reproduce.stages.fit import FitStage, merged
from colorcnn.reproduce.yaml_file import read_yaml

CONF = Path(__file__).resolve().parent.parent / "conf" / "experiment.yaml"
FIT = {"name": "judge", "kind": "fit", "config": "classifier.yaml"}
ALIKE = {"a": ["b_c", "b"], "d": ["e", "c_e"]}
EVALUATE = {
    "name": "score",
    "kind": "evaluate",
    "data": "photo-digits",
    "classifier": "${judge}",
    "methods": {"median-cut": "median-cut"},
}


@pytest.fixture
def write(tmp_path):
    """Write an experiment of one size; changes replace what is in the file, or in its size."""

    def write(stages=(FIT, EVALUATE), name="mine", whole=(), **size):
        content = {
            "kind": "experiment",
            "title": "t",
            "sizes": {"cpu": {"time": "1h", "stages": list(stages), **size}},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**content, **dict(whole)}, sort_keys=False))
        return str(path)

    return write


def test_references_keep_their_type_where_they_are_all_of_a_value():
    values = {"n": 3, "list": [1, 2]}
    found = substitute({"a": "${n}", "b": ["${list}"], "x${n}": "c${n}-${list}"}, values.__getitem__)
    assert found == {"a": 3, "b": [[1, 2]], "x3": "c3-[1, 2]"}
    assert references({"a": "${x}", "b": ["y${z.best}"]}) == ["x", "z.best"]


@settings(deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text("ab{}", max_size=4), lambda inner: st.lists(inner)))
def test_what_has_no_references_is_left_alone(value):
    assert substitute(value, lambda name: name) == value


def test_a_matrix_makes_variants_and_a_stage_matrix_makes_stages(write):
    stages = [
        {**FIT, "name": "judge-${bits}", "matrix": {"bits": [1, 2]}, "model": {"network": "${net}"}},
        {**EVALUATE, "classifier": "${judge-2}", "data": "${set.where}"},
    ]
    matrix = {"set": {"small": {"where": "photo-digits"}, "big": {"where": "cifar10"}}, "net": ["a", "b"]}
    scale = find_experiment(write(stages, matrix=matrix)).scale("cpu")
    assert [variant.name for variant in scale.variants] == ["small_a", "small_b", "big_a", "big_b"]
    assert [stage.name for stage in scale.variants[3].stages] == ["judge-1", "judge-2", "score"]
    assert scale.variants[3].stages[0].options["model"] == {"network": "b"}
    assert scale.variants[3].stages[2].options["data"] == "cifar10"


def test_records_are_named_by_what_tells_them_apart(write):
    experiment = find_experiment(write([FIT, EVALUATE, {**EVALUATE, "name": "again"}], matrix={"net": ["a"]}))
    variant = experiment.scale("cpu").variants[0]
    names = [
        record_path(Path(), experiment, "cpu", variant, stage).name for stage in measuring_stages(variant)
    ]
    assert names == ["mine_a_score_cpu.json", "mine_a_again_cpu.json"]
    experiment = find_experiment(write())
    variant = experiment.scale("cpu").variants[0]
    assert record_path(Path(), experiment, "cpu", variant, variant.stages[1]).name == "mine_cpu.json"


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ([FIT], "nothing is measured"),
        ([FIT, {**EVALUATE, "kind": "guess"}], "Unknown kind of stage .* choose one of .*evaluate, fit"),
        ([{key: FIT[key] for key in ("name", "config")}, EVALUATE], "Unknown kind of stage"),
        ([{**FIT, "epochs": 3}, EVALUATE], "no option 'epochs'; use one of config, model, data, trainer"),
        ([{**FIT, "trainer": 3}, EVALUATE], "trainer is 3; give a mapping"),
        ([{**FIT, "config": 3}, EVALUATE], "config is 3; give a file's name"),
        ([FIT, {**EVALUATE, "methods": ["wu"]}], "methods is .*; give a mapping"),
        ([FIT, {**EVALUATE, "published": "nowhere"}], "Unknown published table"),
        ([FIT, {**EVALUATE, "data": None}], "data is missing"),
        ([FIT, {**EVALUATE, "colors": 8}], "colors is 8; give a list"),
        (
            [FIT, {**EVALUATE, "colors": [8, 257]}],
            "colors, entry 2, is 257; .* from 1 to 256",
        ),
        ([FIT, {**EVALUATE, "colors": []}], "colors is"),
        ([FIT, {**EVALUATE, "limit": -3}], "limit is -3"),
        ([FIT, {**EVALUATE, "limit": "many"}], "limit is 'many'"),
        ([FIT, {**EVALUATE, "batch_size": 0}], "batch_size is 0"),
        ([FIT, {**EVALUATE, "data": ["a"]}], "data is .* give a name, or class_path"),
        ([FIT, {**EVALUATE, "data": {"init_args": {}}}], "data is .* give a name, or class_path"),
        ([FIT, {**EVALUATE, "classifier": 5}], "classifier is 5"),
        ([FIT, {**EVALUATE, "classifier": {"a": ""}}], "classifier 'a' is ''; give a text"),
        ([FIT, {**EVALUATE, "methods": {"a": None}}], "methods 'a' is None; give a text, or a list of texts"),
        ([FIT, {**EVALUATE, "methods": {"a": []}}], "method 'a' is"),
        (
            [FIT, {**EVALUATE, "kind": "soft-hard", "classifier": {"a": "x"}}],
            "give the name of one",
        ),
        ([FIT, {**EVALUATE, "kind": "soft-hard", "methods": {"a": "jpeg:30"}}], "'a' is a codec"),
        ([FIT, {**EVALUATE, "published": ["a"]}], r"published is \['a'\]; give a text, or null"),
        ([FIT, {**EVALUATE, "attacks": "pgd"}], "attacks is 'pgd'; give a list"),
        ([FIT, {**EVALUATE, "attacks": [3]}], "attacks, entry 1, is 3; give a text"),
        ([FIT, {**EVALUATE, "epsilons": 4}], "epsilons is 4; give a list"),
        ([FIT, {**EVALUATE, "limit": True}], "limit is True"),
        ([FIT, {**EVALUATE, "cam": "yes please"}], "cam is 'yes please'"),
        ([FIT, {**EVALUATE, "classifier": "${judge"}], r"has a \$\{ without a valid name"),
        ([FIT, {**EVALUATE, "classifier": "${}"}], r"has a \$\{ without a valid name"),
        ([{**FIT, "shared": "yes please"}, EVALUATE], "shared is 'yes please'"),
        ([EVALUATE, FIT], r"\$\{judge\} is neither a variable nor an earlier stage"),
        ([FIT, FIT, EVALUATE], "the name judge is taken"),
        ([{**FIT, "name": "a b"}, EVALUATE], "the name 'a b' is not allowed"),
        (
            [FIT, {**FIT, "name": "two", "shared": True, "model": {"start_from": "${judge}"}}, EVALUATE],
            "share",
        ),
        ([FIT, "evaluate"], "a stage is 'evaluate'"),
        ([{**FIT, "matrix": {"bits": 3}}, EVALUATE], "axis bits of a matrix is 3"),
        ([{**FIT, "matrix": {"bits": {"few": 3}}}, EVALUATE], "axis bits of a matrix is"),
        ([{**FIT, "matrix": ["bits"]}, EVALUATE], "matrix is .* give a mapping of axes"),
    ],
)
def test_a_wrong_stage_is_told_in_one_sentence(stages, problem, write):
    with pytest.raises(UsageError, match=problem) as raised:
        find_experiment(write(stages))
    assert "mine.yaml" in str(raised.value) or "published" in problem


@pytest.mark.parametrize(
    ("whole", "problem"),
    [
        ({"kind": "fit"}, "is of kind 'fit'"),
        ({"author": "me"}, "no option 'author'"),
        ({"title": None}, "title is missing"),
        ({"sizes": [1]}, "sizes is"),
        ({"sizes": {}}, "sizes is"),
        ({"sizes": {"cpu": {"time": "1h", "stages": [], "seeds": True}}}, "seeds is True"),
        ({"sizes": {"huge": {}}}, "Unknown scale .*'huge': choose one of cpu, paper"),
        ({"sizes": {"cpu": {}}}, "stages is missing"),
        ({"sizes": {"cpu": {"stages": []}}}, "time is missing"),
        ({"sizes": {"cpu": {"time": "1h", "stages": "fit"}}}, "stages is 'fit'; give a list"),
        ({"sizes": {"cpu": {"time": "1h", "stages": [], "seeds": 0}}}, "seeds is 0"),
        ({"sizes": {"cpu": None}}, "must be a mapping"),
        ({"sizes": {"cpu": {"time": "1h", "stages": [], "matrix": {"a": []}}}}, "an axis of the matrix"),
        (
            {"sizes": {"cpu": {"time": "1h", "stages": [], "matrix": ALIKE}}},
            "two combinations of the matrix are named 'b_c_e'",
        ),
        (
            {"sizes": {"cpu": {"time": "1h", "stages": [], "matrix": {"a": ["x/y"]}}}},
            "'x/y' cannot name a file",
        ),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(whole, problem, write):
    with pytest.raises(UsageError, match=problem):
        find_experiment(write(whole=whole))


def test_unknown_experiments_and_scales_name_those_there_are(write):
    with pytest.raises(UsageError, match="Unknown experiment 'magic': choose one of"):
        find_experiment("magic")
    with pytest.raises(UsageError, match="Unknown scale of mine 'paper': choose one of cpu"):
        find_experiment(write()).scale("paper")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (":\n - a: [", "is not valid YAML"),
        ("[1]", "is not a YAML mapping"),
        ("a:\n  methods: {b: 1, c: 2, b: 3}", "the key b is given twice"),
    ],
)
def test_a_damaged_file_is_told_in_one_sentence(text, problem, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ColorCNNError, match=problem):
        read_experiment(path)
    with pytest.raises(ColorCNNError, match="could not be read"):
        read_experiment(tmp_path / "none.yaml")


def test_changes_go_deep_and_an_empty_mapping_empties():
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": {"f": 3}}
    changed = merged(base, {"a": {"c": {"d": 4}}, "e": {}, "g": 5})
    assert changed == {"a": {"b": 1, "c": {"d": 4}}, "e": {}, "g": 5}
    assert base["a"]["c"] == {"d": 2}


def test_a_training_is_described_by_its_whole_configuration():
    from colorcnn.reproduce.stages import KINDS

    options = {
        "config": "classifier.yaml",
        "model": {"network_kwargs": {"width": 8}},
        "data": {"class_path": "CIFAR10"},
        "trainer": {"max_epochs": 1},
    }
    found = KINDS["fit"].describe(options, CONF.parent)
    assert found["model"]["class_path"] == "ClassifierTask"
    assert found["model"]["init_args"]["network_kwargs"] == {"width": 8}
    assert found["data"] == {"class_path": "CIFAR10"}
    assert found["trainer"] == {"max_epochs": 1, "accelerator": "cpu"}
    with pytest.raises(UsageError, match="names no class for model"):
        KINDS["fit"].describe({}, CONF.parent)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model": {"imitation_wieght": 1}}, "Unknown option of ClassifierTask 'imitation_wieght'"),
        ({"data": {"class_path": "CIFAR11"}}, "Unknown class for data 'CIFAR11'"),
        ({"data": {"train_size": 1}}, "Unknown option of CIFAR10 'train_size'"),
        ({"data": {"class_path": "ImageFolder", "init_args": {"pth": "x"}}}, "option of ImageFolder 'pth'"),
        ({"data": {"class_path": "ImageFolder", "init_args": [1]}}, r"init_args \[1\]: give a mapping"),
        ({"data": {"class_path": "ImageFolder", "foo": 1}}, "data has 'foo': give class_path"),
        ({"trainer": {"max_epoch": 3}}, "Unknown option of the trainer 'max_epoch'"),
        ({"config": {"modle": {}}}, "Unknown section of the configuration 'modle'"),
        (
            {"model": {"class_path": "ColorCNNTask", "init_args": {"classifiers": ["resnet9-cifra"]}}},
            "no pretrained model 'resnet9-cifra'",
        ),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_any_other(change, problem):
    options = {"config": "classifier.yaml", **change}
    if "config" in change:
        options["config"] |= {part: {"class_path": "theirs.Own"} for part in ("model", "data")}
    if change.get("data") == {"train_size": 1}:
        options["data"] = [{"class_path": "CIFAR10"}, change["data"]]
    with pytest.raises(UsageError, match=problem):
        FitStage().describe(options, CONF.parent)


def test_the_key_follows_the_work_and_the_weights_it_starts_from(tmp_path, monkeypatch):
    from toy_checkpoints import PLUS, publish, publish_all

    monkeypatch.setenv("COLORCNN_CHECKPOINTS", str(tmp_path))
    description = {"methods": {"a": "colorcnn-plus:toy-plus"}, "colors": [2]}
    key = key_of("evaluate", description, 1)
    assert key == key_of("evaluate", dict(reversed(description.items())), 1)
    assert key != key_of("evaluate", description, 2)
    two = {"methods": {"a": "wu", "b": "octree"}}
    turned = {"methods": dict(reversed(two["methods"].items()))}
    assert key_of("evaluate", two, 1) == key_of("evaluate", turned, 1)
    keys = [
        key_of("evaluate", each, 1, order_sensitive=EvaluateStage.order_sensitive) for each in (two, turned)
    ]
    assert keys[0] != keys[1], "others are compared with the first"
    assert key != key_of("evaluate", {**description, "colors": [4]}, 1)
    publish_all(tmp_path)
    assert key != key_of("evaluate", description, 1), "a model of that name is there now"
    key = key_of("evaluate", description, 1)
    (tmp_path / "toy-plus").rename(tmp_path / "older")
    publish(tmp_path, "toy-plus", "colorcnn-plus", {**PLUS, "refine_steps": 1})
    assert key != key_of("evaluate", description, 1), "its options are others now"
    dithered = {"methods": {"a": "colorcnn-plus:toy-plus+ordered"}}
    key = key_of("evaluate", dithered, 1)
    monkeypatch.setenv("COLORCNN_CHECKPOINTS", str(tmp_path / "none"))
    assert key != key_of("evaluate", dithered, 1), "weights count under any dither"
    checkpoint = tmp_path / "x.ckpt"
    checkpoint.write_bytes(b"1")
    key = key_of("fit", {"start_from": str(checkpoint)}, 1)
    checkpoint.write_bytes(b"2")
    assert key != key_of("fit", {"start_from": str(checkpoint)}, 1)
    run = tmp_path / "run" / "checkpoints"
    run.mkdir(parents=True)
    (run / "best.ckpt").write_bytes(b"1")
    key = key_of("evaluate", {"classifier": str(run.parent)}, 1)
    (run / "best.ckpt").write_bytes(b"2")
    assert key != key_of("evaluate", {"classifier": str(run.parent)}, 1), "the run was trained anew"


def test_activation_maps_are_work_only_where_they_are_asked_for():
    options = {name: value for name, value in EVALUATE.items() if name not in ("name", "kind")}
    plain, without, maps = (
        EvaluateStage().describe({**options, **more}, CONF.parent)
        for more in ({}, {"cam": False}, {"cam": True})
    )
    assert plain == without
    assert maps == {**plain, "cam": True}
    assert "cam" not in EvaluateStage.cosmetic_options


def test_a_training_does_not_depend_on_the_published_model_of_its_architecture(monkeypatch, tmp_path):
    from toy_checkpoints import publish_all

    monkeypatch.setattr("colorcnn.methods.DEFAULTS", {"colorcnn-plus": "toy-plus"})
    monkeypatch.setenv("COLORCNN_CHECKPOINTS", str(tmp_path))
    training, methods = {"model": {"architecture": "colorcnn-plus"}}, {"methods": {"a": "colorcnn-plus"}}
    before = key_of("fit", training, 1), key_of("evaluate", methods, 1)
    publish_all(tmp_path)
    assert key_of("fit", training, 1) == before[0]
    assert key_of("evaluate", methods, 1) != before[1]


@pytest.mark.parametrize(
    ("data", "downloads"),
    [
        ("CIFAR10", True),
        ("colorcnn.data.STL10", True),
        ("mine.Data", True),
        ("VectorSource", False),
    ],
)
def test_data_sets_are_downloaded_that_can_be(data, downloads, tmp_path):
    place = StageContext(tmp_path, 3, "cuda:1", True, lambda *_: 0, print)
    found = FitStage._with_surroundings({"data": {"class_path": data}, "trainer": {}}, place)
    assert found["data"].get("init_args", {}).get("download", False) is downloads
    assert found["trainer"] == {"accelerator": "gpu", "devices": [1]}


def bomb(levels, width=10):
    """YAML of 1 kB whose aliases expand to width ** levels values."""
    lines = ["a0: &a0 [x]"]
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, levels + 1)
    ]
    return "\n".join(lines)


MERGES = "\n".join(
    ["m0: &m0 {k0: 1}"]
    + [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}], k{n}: 1}}" for n in range(1, 9)]
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (bomb(9), "its aliases expand to more than 100,000 values"),
        (MERGES, "its aliases expand to more than 100,000 values"),
        ("a: &a [*a]", "an alias contains itself"),
        ("[" * 5000, "is not valid YAML"),
        ("a: " + "9" * 5000, "is not valid YAML"),
        ("a: 2001-99-99", "is not valid YAML"),
        ("a: " + "x" * 1_000_001, "bytes, more than 1,000,000"),
    ],
)
def test_a_file_over_the_budget_is_refused_before_it_is_expanded(text, problem, tmp_path):
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    with pytest.raises(ColorCNNError, match=problem) as raised:
        read_experiment(path)
    assert str(raised.value).count("\n") == 0


def test_aliases_within_the_budget_are_read(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(bomb(3))
    assert sum(len(row) for row in read_yaml(path)["a3"]) == 100


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seeds": 100_000}, "seeds is 100000: give a whole number from 1 to 100"),
        ({"matrix": {axis: list(range(10)) for axis in "abcdefghij"}}, "more than 5,000 combinations"),
        ({"stages": [{**FIT, "name": "j-${a}", "matrix": {"a": list(range(5001))}}]}, "5,000 combinations"),
        (
            {
                "matrix": {"a": list(range(100))},
                "stages": [{**FIT, "name": "j-${b}", "matrix": {"b": list(range(60))}}],
            },
            "more than 5,000 stages",
        ),
        (
            {"variables": {f"v{n}": [f"${{v{n - 1}}}"] * 10 if n else "x" for n in range(9)}},
            "variables expand to more than 5,000,000 values and characters",
        ),
        (
            {"variables": {f"v{n}": f"${{v{n - 1}}}" * 10 if n else "x" for n in range(9)}},
            "variables expand to more than 5,000,000 values and characters",
        ),
    ],
)
def test_a_scale_over_a_budget_is_refused_in_one_sentence(change, problem, write):
    stages = change.pop("stages", [{**FIT, "model": "${v8}"}])
    with pytest.raises(UsageError, match=problem):
        read_experiment(Path(write(stages, **change)))


def test_sizes_is_another_word_for_scales(write, tmp_path):
    old = Path(write())
    new = tmp_path / "new.yaml"
    new.write_text(old.read_text().replace("sizes:", "scales:"))
    assert read_experiment(new).scales == read_experiment(old).scales
    new.write_text(old.read_text() + "\nscales: {}\n")
    with pytest.raises(UsageError, match="give one of them"):
        read_experiment(new)


def test_a_damaged_checkpoint_in_a_description_has_a_key(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"no checkpoint")
    assert key_of("evaluate", {"methods": [str(tmp_path / "last.ckpt")]}, 1)


def test_long_options_that_differ_at_their_end_alone_are_told_apart():
    methods = {f"{name} ({'long name ' * 20})": "wu" for name in "abcdefgh"}
    ones = [{**EVALUATE, "methods": {**methods, "last": last}} for last in ("octree", "k-means")]
    read = [EvaluateStage().read({k: v for k, v in one.items() if k not in ("name", "kind")}) for one in ones]
    assert [options.methods["last"] for options in read] == ["octree", "k-means"]


def test_a_reference_in_a_configuration_that_names_no_stage_is_refused(write, tmp_path):
    content = yaml.safe_load((CONF.parent / "classifier.yaml").read_text())
    content["data"]["init_args"] = {"root": "${nowhere}"}
    (tmp_path / "stray.yaml").write_text(yaml.safe_dump(content))
    experiment = find_experiment(write([{**FIT, "config": "stray.yaml"}, EVALUATE]))
    with pytest.raises(UsageError, match=r"Stage judge: \$\{nowhere\} in its configuration names no"):
        _ = Plan(experiment, "cpu", 1, tmp_path / "runs", None).variants

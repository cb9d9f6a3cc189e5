"""Graph recipes: a graph by what it is made of, from TOML and from the command line; bad input."""

from dataclasses import replace

import pytest

from scaletrain.graph_recipes import GraphRecipe

ER = GraphRecipe(kind="erdos_renyi", nodes=60, edges=150, seed=3)


def edge_list(folder, text="a b 1\nb c 2\n", name="friends.txt"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "recipe",
    [
        ER,
        GraphRecipe(kind="barabasi_albert", nodes=60, attached=3),
        replace(ER, kappa=1.0, weights_seed=5, support=(1, 10), symmetric=True),
    ],
)
def test_a_recipe_makes_the_same_graph_again_and_survives_a_dictionary(recipe):
    again = GraphRecipe.from_dict(recipe.to_dict())
    assert again == recipe
    assert again.build().digest == recipe.build().digest


@pytest.mark.parametrize("change", [{"seed": 4}, {"kappa": 1.0}, {"edges": 151}])
def test_every_entry_makes_a_difference(change):
    assert replace(ER, **change).build().digest != ER.build().digest


@pytest.mark.parametrize("change", [{"kappa": 0.9}, {"weights_seed": 1}, {"support": (1, 10)}, {"symmetric": True}])
def test_every_entry_of_the_bias_makes_a_difference(change):
    biased = replace(ER, kappa=1.0)
    assert replace(biased, **change).build().digest != biased.build().digest


def test_a_dictionary_has_only_what_matters():
    assert ER.to_dict() == {"kind": "erdos_renyi", "nodes": 60, "edges": 150, "seed": 3}
    assert "weights_seed" in replace(ER, kappa=1.0).to_dict()
    assert GraphRecipe(kind="file", path="a.txt", directed=True).to_dict() == {
        "kind": "file", "path": "a.txt", "directed": True,
    }  # fmt: skip


def test_the_command_line_has_short_names():
    assert GraphRecipe.parse("er:60:150") == replace(ER, seed=0)
    assert GraphRecipe.parse("ba:60:3") == GraphRecipe(kind="barabasi_albert", nodes=60, attached=3)


def test_the_command_line_takes_files(tmp_path):
    path = edge_list(tmp_path)
    graph = GraphRecipe.parse(str(path)).build()
    assert (graph.name, graph.nodes, graph.labels) == ("friends", 3, ("a", "b", "c"))


def test_a_path_in_toml_is_one_from_its_folder(tmp_path):
    edge_list(tmp_path)
    path = edge_list(tmp_path, '[graph]\nkind = "file"\npath = "friends.txt"\nkappa = 1\n', "pack.toml")
    assert GraphRecipe.parse(str(path)).build().name == "friends-kappa1"


def test_directions_of_an_edge_list_count(tmp_path):
    path = edge_list(tmp_path, "a b\nb c\nc a\na c\n")
    free, directed = (GraphRecipe(kind="file", path=str(path), directed=one).build() for one in (False, True))
    assert (free.edges, directed.edges) == (6, 4)
    assert not directed.undirected


GIVEN = {"kind": "erdos_renyi", "nodes": 9, "edges": 9}


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"kind": "tree"}, "kind must be one of erdos_renyi, barabasi_albert, file, bigrams, not 'tree'"),
        ({"kind": ["file"]}, "kind must be one of"),
        ({}, "has no kind"),
        ({"knd": "file", "path": "x"}, "has 'knd', which is unknown; .* Did you mean 'kind'?"),
        ({**GIVEN, 1: 2}, "has 1, which is unknown"),
        ({"kind": "erdos_renyi", "nodes": 9}, "made of nodes and edges, but edges is missing"),
        ({**GIVEN, "attached": 2}, "has no attached: leave it out"),
        ({**GIVEN, "path": "x"}, "has no path"),
        ({"kind": "file", "path": "x", "nodes": 3}, "has no nodes"),
        ({"kind": "file", "path": 3}, "path must be the name of a file, not 3"),
        ({"kind": "file", "path": ""}, "path must be the name of a file"),
        ({**GIVEN, "nods": 3}, "has 'nods', which is unknown; there are attached, .* Did you mean 'nodes'?"),
        ({**GIVEN, "nodes": 9.5}, "nodes must be a whole number from 0 on, not 9.5"),
        ({**GIVEN, "nodes": True}, "nodes must be a whole number"),
        ({**GIVEN, "seed": -1}, "seed must be a whole number from 0 on, not -1"),
        ({**GIVEN, "weights_seed": "0"}, "weights_seed must be a whole number"),
        ({**GIVEN, "kappa": -0.1}, "kappa must be a number from 0 .unbiased. to 3, not -0.1"),
        ({**GIVEN, "kappa": 3.1}, "not 3.1"),
        ({**GIVEN, "kappa": float("nan")}, "not nan"),
        ({**GIVEN, "kappa": "1"}, "not '1'"),
        (
            {**GIVEN, "support": [1]},
            "support must be two rising numbers from 1e-60 to 1e.60, such as .1.0, 1000.0., not .1.",
        ),
        ({**GIVEN, "support": [10, 1]}, "support must be two rising"),
        ({**GIVEN, "support": [0, 1]}, "support must be two rising"),
        ({**GIVEN, "support": [1, float("inf")]}, "support must be two rising"),
        ({**GIVEN, "support": "12"}, "support must be two rising"),
        ({**GIVEN, "directed": True}, "has no directions"),
        ({**GIVEN, "symmetric": 1}, "symmetric must be true or false, not 1"),
    ],
)
def test_bad_entries_are_refused_in_words(entries, words):
    with pytest.raises(ValueError, match=words):
        GraphRecipe.from_dict(entries)


@pytest.mark.parametrize("text", ["er:10", "er:10:20:30", "er:10:x", "ba:-1:2", "er:1e3:5", "er:٣:٤"])
def test_a_misspelt_random_graph_is_told_how_to_spell_it(text):
    with pytest.raises(ValueError, match="names no graph"):
        GraphRecipe.parse(text)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[graph\n", "is no TOML"),
        (b"\xff\xfe", "is no TOML"),
        (b"steps = 3\n", "has no table .graph."),
        (b"graph = 3\n", "has no table .graph."),
        (b"[graph]\nkind = 'file'\n", "bad.toml: a graph of kind file is made of path, but path is missing"),
    ],
)
def test_a_bad_toml_file_is_named(tmp_path, content, words):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        GraphRecipe.parse(str(path))


@pytest.mark.parametrize("name", ["none.txt", "none.toml", "none.graphml"])
def test_a_missing_file_is_an_error_of_the_system(tmp_path, name):
    with pytest.raises(OSError, match=f"{name} could not be read .No such file"):
        GraphRecipe.parse(str(tmp_path / name)).build()

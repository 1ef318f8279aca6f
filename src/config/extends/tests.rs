//! What is merged, removed and located of definitions that extend each other.

use super::*;

const PARENT: &str = "list = [1, 2]

[experiment]
name = 'parent'
seeds = [1, 2]

[a]
x = 1
inline = { p = 1, q = 2 }

[a.'b c']
y = 2
z = 3
";

/// The four lines at the head of an extending file.
fn head(extends: &str) -> String {
    format!(
        "extends = {extends}\nexperiment.name = 'x'\nexperiment.title = 'y'\nexperiment.hypothesis = 'z'\n"
    )
}

/// Files in a folder that is gone afterwards.
fn files(texts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in texts {
        let path = folder.path().join(name);
        std::fs::create_dir_all(folder_of(&path)).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// What extends [`PARENT`] and writes `own`, with its path.
fn child(own: &str, overrides: &[&str]) -> Result<Whole> {
    let text = head("'parent.toml'") + own;
    let folder = files(&[("parent.toml", PARENT), ("child.toml", &text)]);
    let overrides: Vec<String> = overrides.iter().map(|&entry| entry.to_owned()).collect();
    Whole::read(&folder.path().join("child.toml"), &overrides)
}

fn table(text: &str) -> Table {
    toml::from_str(text).unwrap()
}

#[test]
fn tables_are_merged_and_all_else_is_replaced_whole() {
    let b = "'b c' = { y = 2, z = 3 }";
    let inline = "inline = { p = 1, q = 2 }";
    for (own, list, a) in [
        ("", "[1, 2]", format!("{{ x = 1, {inline}, {b} }}")),
        ("list = [3]", "[3]", format!("{{ x = 1, {inline}, {b} }}")),
        (
            "[[list]]\nk = 1",
            "[{ k = 1 }]",
            format!("{{ x = 1, {inline}, {b} }}"),
        ),
        (
            "[a]\nx = 5\ninline.p = 4",
            "[1, 2]",
            format!("{{ x = 5, inline = {{ p = 4, q = 2 }}, {b} }}"),
        ),
        (
            "[a.inline]\nr.s = 4",
            "[1, 2]",
            format!("{{ x = 1, inline = {{ p = 1, q = 2, r = {{ s = 4 }} }}, {b} }}"),
        ),
        (
            "a.x = { deep = true }\na.inline = 3",
            "[1, 2]",
            format!("{{ x = {{ deep = true }}, inline = 3, {b} }}"),
        ),
        (
            "remove = ['a.x', 'a.\"b c\".z', 'a.inline']\na.inline.s = 1",
            "[1, 2]",
            "{ 'b c' = { y = 2 }, inline = { s = 1 } }".to_owned(),
        ),
        (
            "remove = ['a', 'list']\nlist = []\na.new = 1",
            "[]",
            "{ new = 1 }".to_owned(),
        ),
    ] {
        let experiment = "{ name = 'x', title = 'y', hypothesis = 'z', seeds = [1, 2] }";
        let expected = table(&format!(
            "experiment = {experiment}\nlist = {list}\na = {a}"
        ));
        assert_eq!(table(&child(own, &[]).unwrap().text), expected, "{own}");
    }
}

#[test]
fn inherited_keys_come_first_in_their_order() {
    let whole = child("a.new = 1\na.x = 2", &[]).unwrap();
    let whole = table(&whole.text);
    let a = whole["a"].as_table().unwrap();
    let keys: Vec<&str> = a.keys().map(String::as_str).collect();
    // Values stand before tables in a text.
    assert_eq!(keys, ["x", "new", "inline", "b c"]);
}

#[test]
fn a_definition_that_extends_nothing_keeps_its_text() {
    let folder = files(&[("parent.toml", PARENT)]);
    let whole = Whole::read(&folder.path().join("parent.toml"), &[]).unwrap();
    assert_eq!(whole.text, PARENT);
    assert_eq!(whole.commented(), PARENT);
}

#[test]
fn what_comes_from_elsewhere_is_told_where_it_was_written() {
    let own = "a.inline.p = 4\n[a.'b c']\ny = 5\n";
    let whole = child(own, &["a.x=7", "a.new.k=word", "list=[3]"]).unwrap();
    let told = whole.commented();
    let lines: Vec<&str> = told.lines().collect();
    for line in [
        "list = [3]  # --set",
        "name = \"x\"",
        "seeds = [1, 2]  # parent.toml, line 5",
        "x = 7  # --set",
        "p = 4",
        "q = 2  # parent.toml, line 9",
        "y = 5",
        "z = 3  # parent.toml, line 13",
        "k = \"word\"  # --set",
    ] {
        let found = lines.iter().any(|found| found.replace('\'', "\"") == line);
        assert!(found, "{line}: {told}");
    }
    assert_eq!(table(&told), table(&whole.text));
}

#[test]
fn several_levels_and_folders_lead_back_to_the_lines_and_paths_as_written() {
    let top = "[tasks]\nnorms = 'people'\n[tasks.data]\nx = 'x.jsonl'\n";
    let middle = head("'../top.toml'") + "tasks.data.y = 'y.jsonl'\n";
    let bottom = head("'lab/middle.toml'") + "tasks.data.z = 'z.jsonl'\n";
    let folder = files(&[
        ("top.toml", top),
        ("lab/middle.toml", &middle),
        ("bottom.toml", &bottom),
    ]);
    let whole = Whole::read(&folder.path().join("bottom.toml"), &[]).unwrap();
    let tasks = table(&whole.text)["tasks"].to_string();
    let expected = "norms = 'lab/../people'\ndata = { x = 'lab/../x.jsonl', y = 'lab/y.jsonl', z = 'z.jsonl' }";
    assert_eq!(tasks, Value::Table(table(expected)).to_string());
    let told = whole.commented();
    for (value, comment) in [
        ("lab/../x.jsonl", "  # lab/../top.toml, line 4"),
        ("lab/y.jsonl", "  # lab/middle.toml, line 5"),
        ("z.jsonl", ""),
    ] {
        let line = format!("\"{value}\"{comment}\n");
        assert!(told.contains(&line), "{line}: {told}");
    }
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct A {
    #[serde(rename = "x")]
    _x: String,
    #[serde(rename = "inline")]
    _inline: Table,
}

#[derive(Debug, serde::Deserialize)]
struct Definition {
    #[serde(rename = "a")]
    _a: A,
}

#[test]
fn an_error_names_the_file_and_line_that_wrote_the_key() {
    let whole = child("a.x = 'four'\na.inline.p = 4", &["a.new.k=word"]).unwrap();
    let located = |error: anyhow::Error| {
        let folder = format!("{}/", folder_of(&whole.path).display());
        format!("{:#}", whole.locate(error)).replace(&folder, "")
    };
    let of_text = |message: &'static str| located(anyhow!(message));
    assert_eq!(of_text("a.x: no"), "child.toml, line 5: a.x: no");
    assert_eq!(
        of_text("a.\"b c\".z = 3: no"),
        "parent.toml, line 13: a.\"b c\".z = 3: no"
    );
    assert_eq!(
        of_text("a.new.k: no"),
        "child.toml with --set a.new.k=word: a.new.k: no"
    );
    assert_eq!(of_text("nothing"), "child.toml: nothing");
    assert_eq!(
        of_text("a.inline holds both"),
        "child.toml, line 6: a.inline holds both (the keys of a.inline come from child.toml and \
         parent.toml; remove = [\"a.inline.KEY\"] takes an inherited one away)"
    );
    let of_toml = |own: &str, overrides: &[&str]| {
        let whole = child(own, overrides).unwrap();
        let error = toml::from_str::<Definition>(&whole.text).unwrap_err();
        let folder = format!("{}/", folder_of(&whole.path).display());
        format!("{:#}", whole.locate(error.into())).replace(&folder, "")
    };
    let unknown = of_toml("a.x = 'four'", &[]);
    let told = "parent.toml, line 11: a.b c: unknown field `b c`";
    assert!(unknown.starts_with(told), "{unknown}");
    let of_type = of_toml("", &["a.x=four", "a.inline=3"]);
    let told = "child.toml with --set a.inline=3: a.inline: invalid type: integer `3`";
    assert!(of_type.starts_with(told), "{of_type}");
    let lacking = of_toml("remove = ['a.inline', 'a.\"b c\"']\na.x = 'four'", &[]);
    let told = "child.toml, line 6: a: missing field `inline`";
    assert!(lacking.starts_with(told), "{lacking}");
    let lacking = of_toml("remove = ['a']", &["a.x=word"]);
    let told = "child.toml with --set a.x=word: a: missing field `inline`";
    assert!(lacking.starts_with(told), "{lacking}");
    let lacking = of_toml("remove = ['a']", &[]);
    let told = "child.toml: missing field `a`";
    assert!(lacking.starts_with(told), "{lacking}");
}

#[test]
fn what_cannot_be_extended_is_refused_at_its_line() {
    let refused = |texts: &[(&str, &str)]| {
        let folder = files(texts);
        let read = Whole::read(&folder.path().join(texts[0].0), &[]);
        let error = format!("{:#}", read.err().expect("an error"));
        error.replace(&format!("{}/", folder.path().display()), "")
    };
    let with = |own: &str| {
        let text = head("'parent.toml'") + own;
        refused(&[("child.toml", &text), ("parent.toml", PARENT)])
    };
    let itself = refused(&[("a.toml", &head("'./a.toml'"))]);
    assert!(
        itself.starts_with("a.toml, line 1: ") && itself.contains("circle"),
        "{itself}"
    );
    let back = refused(&[("a.toml", &head("'b.toml'")), ("b.toml", &head("'a.toml'"))]);
    assert!(
        back.starts_with("a.toml, line 1: ")
            && back.contains("b.toml, line 1: extends = \"a.toml\"")
            && back.contains("circle"),
        "{back}"
    );
    let missing = refused(&[("a.toml", &head("'b.toml'"))]);
    assert!(
        missing.starts_with("a.toml, line 1: extends = \"b.toml\"")
            && missing.contains("reading b.toml")
            && missing.contains("No such file"),
        "{missing}"
    );
    let no_toml = refused(&[("a.toml", &head("'b.toml'")), ("b.toml", "\nx = \n")]);
    assert!(
        no_toml.contains("b.toml: TOML parse error at line 2"),
        "{no_toml}"
    );
    let number = refused(&[("a.toml", &head("3"))]);
    assert!(
        number.starts_with("a.toml, line 1: extends = 3"),
        "{number}"
    );
    let alone = refused(&[("a.toml", "\nremove = ['x']")]);
    assert!(alone.starts_with("a.toml, line 2: remove"), "{alone}");
    for (own, told) in [
        (
            "\nremove = ['a.k']",
            "child.toml, line 6: remove \"a.k\": the definition",
        ),
        (
            "remove = ['list.k']",
            "child.toml, line 5: remove \"list.k\": the definition",
        ),
        (
            "remove = ['a.x', 'a.x']",
            "child.toml, line 5: remove \"a.x\": the definition",
        ),
        ("remove = 'a.x'", "child.toml, line 5: remove: write a list"),
        ("remove = [3]", "child.toml, line 5: remove: write a list"),
        (
            "remove = ['a..x']",
            "child.toml, line 5: remove \"a..x\" is no key",
        ),
    ] {
        let error = with(own);
        assert!(error.starts_with(told), "{own}: {error}");
    }
    for key in OWN {
        let text =
            head("'parent.toml'").replace(&format!("experiment.{key}"), "experiment.threads");
        let error = refused(&[("child.toml", &text), ("parent.toml", PARENT)]);
        let told = format!("child.toml, line 1: experiment.{key} is not inherited");
        assert!(error.starts_with(&told), "{error}");
    }
}

//! The view drawn into memory, from a made-up run.

use std::path::Path;

use experiments::completions::{LoggedCompletion, write};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;
use ratatui::style::Color;

use super::view::View;
use crate::files;
use crate::runner::live::Live;

const DEFINITION: &str = r#"
    [experiment]
    name = "made-up"
    title = "A made-up run"
    seeds = [1, 2]
    [base]
    pretraining.training.steps = 40
    [training]
    steps = 80
    [arm.sft]
    algorithm.sft = {}
    [arm.grpo]
    algorithm.grpo = {}
"#;

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

fn completion(sample: u32, prompt: &str, text: &str) -> LoggedCompletion {
    LoggedCompletion {
        step: 29,
        task: "addition_digit".to_owned(),
        problem: prompt.to_owned(),
        sample,
        prompt: prompt.to_owned(),
        completion: text.to_owned(),
        completion_ids: Vec::new(),
        reward: Some(1.25 - f64::from(sample)),
        rewards: Vec::new(),
        advantage: None,
        completion_tokens: 8,
        reasoning_tokens: 3,
        truncated: sample > 0,
    }
}

/// Bases done, `sft` of seed 1 done, `grpo` of seed 1 in training, the rest not begun.
fn made_up() -> tempfile::TempDir {
    let run = tempfile::tempdir().expect("a temporary folder");
    let at = run.path();
    put(at, "definition.toml", DEFINITION);
    let line = |step: u64, more: &str| {
        let (seconds, tokens) = (step as f64 * 0.5, step * 400);
        format!("{{\"step\":{step},\"seconds\":{seconds},\"num_tokens\":{tokens},{more}}}\n")
    };
    let imitation = |steps: u64| -> String {
        let steps = 1..=steps;
        steps
            .map(|step| line(step, &format!("\"loss\":{}", 2.0 / step as f64)))
            .collect()
    };
    for seed in [1, 2] {
        put(
            at,
            &format!("arms/base/seed-{seed}/pretraining.jsonl"),
            &imitation(40),
        );
        put(at, &format!("arms/base/seed-{seed}/outcome.json"), "{}");
    }
    put(at, "arms/sft/seed-1/metrics.jsonl", &imitation(80));
    put(at, "arms/sft/seed-1/outcome.json", "{}");
    let reward = |step: u64| {
        let (reward, length) = (step as f64 / 40.0, 20.0 + (step % 7) as f64);
        line(
            step,
            &format!("\"loss\":-0.0001,\"reward\":{reward},\"completions/mean_length\":{length}"),
        )
    };
    put(
        at,
        "arms/grpo/seed-1/metrics.jsonl",
        &(1..=30).map(reward).collect::<String>(),
    );
    std::fs::create_dir_all(at.join("arms/grpo/seed-1/completions")).expect("a folder");
    let rows = [
        completion(0, "3 + 4 = ?", "<think> 3 4 </think> 7"),
        completion(1, "3 + 4 = ?", "<think> 3 4"),
        completion(
            0,
            "晴 + 嵐 = ?",
            "晴嵐 שלום e\u{301}\x1b[31m\x1b]0;title\x07\u{202e}end\r\n<b>",
        ),
    ];
    write(
        &at.join("arms/grpo/seed-1/completions/step-000029.parquet"),
        &rows,
    )
    .expect("a file");
    run
}

fn view(run: &Path) -> View {
    View::new(Live::of(run).expect("a run"), false)
}

fn drawn(view: &mut View, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
    terminal.draw(|frame| view.draw(frame)).expect("memory");
    terminal
}

/// What a terminal of that size shows, blanks at the ends of lines left out.
fn screen(view: &mut View, width: u16, height: u16) -> String {
    let terminal = drawn(view, width, height);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut covered = 0;
        for x in 0..width {
            let symbol = buffer[(x, y)].symbol();
            // The second half of a wide letter holds nothing of its own.
            if covered == 0 {
                line.push_str(symbol);
                covered = unicode_columns(symbol);
            }
            covered -= 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn unicode_columns(symbol: &str) -> usize {
    ratatui::text::Span::raw(symbol).width().max(1)
}

/// Compares with what is kept; a change that is meant is copied from the message.
fn assert_shows(shown: &str, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/watch/snapshots");
    let kept = std::fs::read_to_string(folder.join(name)).expect("a kept view");
    assert!(
        shown == kept,
        "{name} has changed; it is now:
{shown}----"
    );
}

#[test]
fn a_run_that_goes_on_at_80_and_at_120_columns() {
    let run = made_up();
    let held = files::lock(run.path()).expect("a file system with locks");
    assert!(held.is_some());
    let mut view = view(run.path());
    assert_shows(&screen(&mut view, 80, 24), "80x24.txt");
    assert_shows(&screen(&mut view, 120, 40), "120x40.txt");
    view.press(KeyCode::Char('c'));
    assert_shows(&screen(&mut view, 80, 24), "completions.txt");
    view.press(KeyCode::Char('?'));
    assert_shows(&screen(&mut view, 80, 24), "help.txt");
}

#[test]
fn no_terminal_is_too_small_and_the_arm_is_the_last_to_go() {
    let run = made_up();
    let mut view = view(run.path());
    for keys in ["", "c", "?"] {
        keys.chars().for_each(|key| view.press(KeyCode::Char(key)));
        for (width, height) in [
            (1, 1),
            (2, 3),
            (10, 5),
            (20, 8),
            (33, 11),
            (60, 16),
            (79, 23),
            (250, 90),
        ] {
            drawn(&mut view, width, height);
        }
    }
    view.press(KeyCode::Esc);
    let narrow = screen(&mut view, 34, 16);
    assert!(
        narrow.contains("> grpo") && narrow.contains("stopped"),
        "{narrow}"
    );
    assert!(!narrow.contains("tok/s"), "{narrow}");
}

#[test]
fn nothing_that_a_model_wrote_moves_the_terminal() {
    let run = made_up();
    let mut view = view(run.path());
    let plain = view.plain();
    assert!(
        plain.contains("晴嵐 שלום e\u{301}␛[31m␛]0;title␇"),
        "{plain}"
    );
    for pane in ["", "c"] {
        pane.chars().for_each(|key| view.press(KeyCode::Char(key)));
        let screen = screen(&mut view, 100, 40);
        let text = format!("{plain}{screen}");
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{text:?}"
        );
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
}

#[test]
fn the_chosen_arm_goes_round_and_without_colour_there_is_none() {
    let run = made_up();
    let mut view = view(run.path());
    assert!(screen(&mut view, 80, 24).contains("> grpo              1"));
    view.press(KeyCode::Tab);
    view.press(KeyCode::Tab);
    let first = screen(&mut view, 80, 24);
    assert!(first.contains("> base              1"), "{first}");
    assert!(first.contains("none was logged"), "{first}");
    view.press(KeyCode::Up);
    assert!(screen(&mut view, 80, 24).contains("> grpo              2"));
    let plain = drawn(&mut view, 80, 24);
    assert!(
        plain
            .backend()
            .buffer()
            .content()
            .iter()
            .all(|cell| cell.fg == Color::Reset)
    );
    let mut colored = View::new(Live::of(run.path()).expect("a run"), true);
    let colored = drawn(&mut colored, 80, 24);
    assert!(
        colored
            .backend()
            .buffer()
            .content()
            .iter()
            .any(|cell| cell.fg == Color::Cyan)
    );
}

#[test]
fn what_is_damaged_is_named_and_a_finished_run_names_its_report() {
    let run = made_up();
    let at = run.path();
    put(
        at,
        "arms/grpo/seed-1/completions/step-000031.parquet",
        "PAR1, cut off",
    );
    put(at, "arms/sft/seed-2/metrics.jsonl", "what is this\n");
    let mut view = view(at);
    let shown = screen(&mut view, 160, 24);
    assert!(shown.contains("step-000031.parquet"), "{shown}");
    assert!(
        shown.contains("arms/sft/seed-2/metrics.jsonl: line 1 is damaged"),
        "{shown}"
    );
    assert!(view.plain().contains("line 1 is damaged"));
    put(at, "manifest.json", "{}");
    put(at, "report.html", "<!doctype html>");
    view.look();
    assert!(screen(&mut view, 160, 24).contains("report.html"));
    std::fs::remove_file(at.join("definition.toml")).expect("there");
    view.look();
    assert!(screen(&mut view, 160, 24).contains("holds no run"));
}

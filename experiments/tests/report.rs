//! The report from outside: its size, and what a browser makes of it.
//!
//! The browser is Debian's chromium, headless; without one these tests say so
//! and pass. Pictures of the page are left in the target folder to be looked at.

#[path = "report/chromium.rs"]
mod chromium;
#[path = "report/made_up.rs"]
mod made_up;

use std::path::Path;
use std::time::Instant;

use chromium::Chromium;
use experiments::comparison::{Comparison, ItemCompletions};
use experiments::figures;
use experiments::report::write_all;
use made_up::{Size, made_up};

/// Ten runs of four arms, five seeds, 500 items, four samples.
const LARGE: Size = Size {
    runs: 10,
    seeds: 5,
    items: 125,
    samples: 4,
    timed: true,
    metrics: 24,
    updates: 100,
};

const SMALL: Size = Size {
    runs: 1,
    seeds: 2,
    items: 30,
    samples: 2,
    timed: true,
    metrics: 5,
    updates: 60,
};

#[test]
fn a_large_comparison_has_a_page_below_five_megabytes_and_the_rest_beside_it() {
    let started = Instant::now();
    let (comparison, items) = made_up(LARGE);
    println!("compared in {:.1} s", started.elapsed().as_secs_f64());
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    write_all(&comparison, &items, folder.path()).unwrap();
    println!("written in {:.1} s", started.elapsed().as_secs_f64());
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    println!("report.html has {} bytes", page.len());
    assert!(page.len() < 5_000_000, "{}", page.len());
    let files = std::fs::read_dir(folder.path().join("completions")).unwrap();
    assert_eq!(files.count(), 500);
    // Every link of the page has its file.
    let links = page
        .split(" href=\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'));
    for (link, _) in links.filter(|(link, _)| !link.starts_with('#')) {
        assert!(folder.path().join(link).is_file(), "{link}");
    }
    if let Some(mut browser) = browser() {
        usable(&mut browser, &folder.path().join("report.html"));
        quiet(&browser);
    }
}

/// A browser, or a line that says there is none.
fn browser() -> Option<Chromium> {
    let browser = Chromium::start();
    if browser.is_none() {
        println!("skipped: there is no chromium");
    }
    browser
}

/// Opens the page and says how long it took until an item stood in its browser.
fn usable(browser: &mut Chromium, page: &Path) {
    let started = Instant::now();
    browser.open(page);
    assert_eq!(
        browser.value("document.querySelector('#item h3') !== null"),
        true
    );
    println!("usable after {:.2} s", started.elapsed().as_secs_f64());
}

/// Nothing went wrong in the page, and it asked for nothing but itself.
fn quiet(browser: &Chromium) {
    for event in &browser.events {
        let parameters = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap();
                let own = url.starts_with("file://") && url.ends_with("/report.html");
                assert!(own || url.starts_with("blob:"), "asked for {url}");
            }
            "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled" => {
                panic!("{event}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_browser_shows_everything_and_runs_nothing_of_a_model() {
    let Some(mut browser) = browser() else {
        return;
    };
    let (comparison, items) = made_up(SMALL);
    let folder = tempfile::tempdir().unwrap();
    write_all(&comparison, &items, folder.path()).unwrap();
    usable(&mut browser, &folder.path().join("report.html"));
    // First, while the focus is still where a reader's would be.
    keyboard(&mut browser);
    every_view(&mut browser);
    hard_texts(&mut browser);
    one_item(&mut browser, &comparison, &items);
    for width in [1280, 390] {
        for scheme in ["light", "dark"] {
            browser.look(width, scheme);
            let wide = browser.value("document.documentElement.scrollWidth");
            assert!(
                wide.as_u64().unwrap() <= u64::from(width),
                "{width}: {wide}"
            );
            pictures(&mut browser, &format!("{width}-{scheme}"), width);
        }
    }
    quiet(&browser);
    files(&mut browser, &comparison);
}

#[test]
fn a_page_without_times_shows_its_items_without_people() {
    let Some(mut browser) = browser() else {
        return;
    };
    let (comparison, items) = made_up(Size {
        timed: false,
        ..SMALL
    });
    let folder = tempfile::tempdir().unwrap();
    write_all(&comparison, &items, folder.path()).unwrap();
    usable(&mut browser, &folder.path().join("report.html"));
    let first = browser.value("document.querySelector('#findings li').textContent");
    assert!(
        first
            .as_str()
            .unwrap()
            .starts_with("Which is more often right, grpo or base"),
        "{first}"
    );
    let facts = browser.value("document.querySelector('#item .facts').textContent");
    let facts = facts.as_str().unwrap();
    assert!(facts.contains("right answer") && facts.contains("covariates"));
    let heads = browser.value("document.querySelector('#item .strips thead').textContent");
    let controls = browser.value("document.querySelector('#filters').textContent");
    for text in [facts, heads.as_str().unwrap(), controls.as_str().unwrap()] {
        for word in ["people", "predict", "human"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
    for width in [1280, 390] {
        browser.look(width, "light");
        let wide = browser.value("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide}");
        pictures(&mut browser, &format!("untimed-{width}"), width);
    }
    quiet(&browser);
}

/// Follows every link of the contents, unfolds everything, asks for every
/// definition and goes through every filter, order and item.
fn every_view(browser: &mut Chromium) {
    let followed = browser.value(
        "[...document.querySelectorAll('nav a')].map((a) => { a.click(); \
         return document.querySelector(a.getAttribute('href')).getBoundingClientRect().height; })",
    );
    let heights = followed.as_array().unwrap();
    assert!(heights.len() > 6, "{followed}");
    assert!(
        heights.iter().all(|height| height.as_f64().unwrap() > 60.0),
        "{followed}"
    );
    let unfolded = browser.value(
        "[...document.querySelectorAll('main details')].every((d) => { d.querySelector('summary').click(); return d.open; })",
    );
    assert_eq!(unfolded, true);
    let defined = browser.value(
        "[...document.querySelectorAll('figure.drawn')].map((figure) => { const about = figure.querySelector('.about'); \
         about.click(); const p = figure.querySelector('.definition'); \
         const seen = getComputedStyle(p).visibility === 'visible' && p.textContent.length > 10; \
         about.click(); return seen && getComputedStyle(p).visibility === 'hidden'; })",
    );
    assert!(
        defined.as_array().unwrap().iter().all(|seen| *seen == true),
        "{defined}"
    );
    let chosen = browser.value(
        "(() => { let views = 0; for (const id of ['filter-task', 'filter-outcome', 'filter-right', 'filter-wrong', 'order']) { \
         const select = document.getElementById(id); for (const option of select.options) { select.value = option.value; \
         select.dispatchEvent(new Event('change')); views += document.getElementById('item').childElementCount > 0; } \
         select.selectedIndex = 0; select.dispatchEvent(new Event('change')); } return views; })()",
    );
    assert!(chosen.as_u64().unwrap() > 20, "{chosen}");
    let items = browser.value(
        "(() => { const next = document.getElementById('item-after'); let seen = 1; \
         while (!next.disabled) { next.click(); seen += document.querySelectorAll('#item .answers section').length === 4; } \
         return seen; })()",
    );
    assert_eq!(items, 120);
}

/// An item's samples are drawn one by one and told as numbers; what the covariates predict of an
/// arm is the comparison's own; and the list follows the order asked for.
fn one_item(browser: &mut Chromium, comparison: &Comparison, items: &[ItemCompletions]) {
    let samples: usize = items[7].arms.values().map(Vec::len).sum();
    browser.value(
        "(() => { const list = document.getElementById('item-list'); list.value = '7'; \
         list.dispatchEvent(new Event('change')); })()",
    );
    let count = |what: &str| format!("document.querySelectorAll('#item {what}').length");
    assert_eq!(browser.value(&count(".strip circle")), samples);
    let cut_off = items[7].arms.values().flatten().filter(|c| c.truncated);
    assert_eq!(browser.value(&count(".strip .cut")), cut_off.count());
    browser.value("document.querySelector('#item .strips summary').click()");
    let told = browser.value(
        "new Promise((done) => setTimeout(() => done(document.querySelector('#item .strips dl').textContent), 50))",
    );
    assert_eq!(told.as_str().unwrap().matches(" tokens, ").count(), samples);
    let factors = browser.value(
        "[...document.querySelectorAll('#item .strips td:last-child')].map((td) => td.textContent).slice(0, 4)",
    );
    let factors = factors.as_array().unwrap();
    assert_eq!(factors.len(), comparison.arms.len());
    for (arm, shown) in comparison.arms.iter().zip(factors) {
        let mut points = arm.tasks[0].points.iter();
        let point = points.find(|p| p.item_id == items[7].item_id).unwrap();
        let expected = comparison.further.trivial[0].expected_costs[&arm.name][&point.item_id];
        let shown = shown.as_str().unwrap().trim_start_matches('\u{d7}');
        let shown: f64 = shown.parse().unwrap();
        assert!(
            ((point.model_cost - expected).exp() - shown).abs() < 0.006,
            "{shown}"
        );
    }
    let facts = browser.value("document.querySelector('#item .facts').textContent");
    let facts = facts.as_str().unwrap();
    let size = items[7].covariates["size"];
    for part in [
        &format!("size {size}, tie 0"),
        "sum 7",
        "from size, tie alone",
    ] {
        assert!(facts.contains(part), "{part}: {facts}");
    }
    let order = browser.value(
        "(() => { const order = document.getElementById('order'); \
         order.selectedIndex = [...order.options].findIndex((o) => o.text.includes('longest')); \
         order.dispatchEvent(new Event('change')); \
         const all = [...document.getElementById('item-list').options].map((o) => Number(o.value)); \
         order.selectedIndex = 0; order.dispatchEvent(new Event('change')); return all; })()",
    );
    let times: Vec<f64> = (order.as_array().unwrap().iter())
        .map(|at| items[at.as_u64().unwrap() as usize].human_ms.unwrap())
        .collect();
    assert!(times.len() == items.len() && times.is_sorted_by(|a, b| a >= b));
    // A task that knows nothing of its items predicts nothing, and says so.
    let last = browser.value(
        "(() => { const list = document.getElementById('item-list'); list.selectedIndex = list.length - 1; \
         list.dispatchEvent(new Event('change')); return document.querySelector('#item .facts').textContent; })()",
    );
    assert!(
        last.as_str()
            .unwrap()
            .contains("undefined: nothing is known"),
        "{last}"
    );
    // Pictures are of one whose prediction is drawn.
    browser.value(
        "(() => { const list = document.getElementById('item-list'); list.value = '7'; \
         list.dispatchEvent(new Event('change')); })()",
    );
}

/// What a model wrote stands there letter by letter, in its own direction, and did nothing.
fn hard_texts(browser: &mut Chromium) {
    for text in made_up::HARD {
        let text = text.replace('\u{2028}', "\\u2028");
        let wanted = format!("`{}`", text.replace("${", "\\${"));
        let found = browser.value(&format!(
            "(() => {{ const words = document.getElementById('filter-text'); words.value = {wanted}; \
             words.dispatchEvent(new Event('input')); \
             return [...document.querySelectorAll('#item pre')].filter((pre) => pre.textContent === words.value) \
             .map((pre) => pre.matches(':dir(rtl)')); }})()"
        ));
        let hebrew = text.starts_with('\u{5e9}');
        let found = found.as_array().unwrap();
        assert!(
            found.first().is_some_and(|rtl| *rtl == hebrew),
            "{text}: {found:?}"
        );
    }
    assert_eq!(browser.value("window.ran === undefined"), true);
    browser.value(
        "(() => { const words = document.getElementById('filter-text'); words.value = ''; \
         words.dispatchEvent(new Event('input')); })()",
    );
}

/// The first key leads past the contents, and the list of items follows the arrows.
fn keyboard(browser: &mut Chromium) {
    browser.key("Tab", 9);
    assert_eq!(browser.value("document.activeElement.className"), "skip");
    browser.key("Enter", 13);
    assert_eq!(browser.value("document.activeElement.id"), "main");
    browser.value("document.getElementById('item-list').focus()");
    let before = browser.value("document.querySelector('#item h3').textContent");
    browser.key("ArrowDown", 40);
    assert_ne!(
        browser.value("document.querySelector('#item h3').textContent"),
        before
    );
    browser.value("document.querySelector('figure.drawn .about').focus()");
    let visible = "getComputedStyle(document.querySelector('figure.drawn .definition')).visibility";
    assert_eq!(browser.value(visible), "visible");
    browser.key("Escape", 27);
    assert_eq!(browser.value(visible), "hidden");
}

/// Data and drawings are saved as they are.
fn files(browser: &mut Chromium, comparison: &Comparison) {
    let figures = figures::all(comparison);
    for figure in [figures.first().unwrap(), figures.last().unwrap()] {
        let tool = |n: usize| {
            format!(
                "document.querySelector(\"figure[data-name='{}']\").querySelectorAll('button')[{n}].click()",
                figure.stem
            )
        };
        let (name, csv) = browser.saved(&tool(1));
        assert_eq!(
            (name, csv),
            (format!("{}.csv", figure.stem), figure.csv.clone())
        );
        let (name, svg) = browser.saved(&tool(2));
        assert_eq!(name, format!("{}.svg", figure.stem));
        assert!(svg.starts_with("<svg ") && svg.contains("<desc>"), "{svg}");
        assert!(
            svg.contains("xmlns=\"http://www.w3.org/2000/svg\""),
            "{svg}"
        );
    }
    let (name, csv) = browser.saved("document.querySelector('#arms + .tools button').click()");
    assert_eq!(name, "arms.csv");
    let mut lines = csv.lines();
    let width = lines.next().unwrap().split(',').count();
    assert!(lines.clone().count() == 4 && width > 6, "{csv}");
    assert!(csv.contains(" low,"), "{csv}");
}

/// Leaves the page in pieces as high as a screen or two.
fn pictures(browser: &mut Chromium, name: &str, width: u32) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    // A picture is no reader: nothing comes into its view.
    browser.value(
        "document.head.append(Object.assign(document.createElement('style'), \
         {textContent: '.figures > figure { content-visibility: visible !important; }'}))",
    );
    let height = browser
        .value("document.documentElement.scrollHeight")
        .as_u64()
        .unwrap() as u32;
    for (piece, top) in (0..height).step_by(1800).enumerate() {
        let size = (width, 1800.min(height - top));
        browser.picture(top, size, &folder.join(format!("{name}-{piece:02}.png")));
    }
}

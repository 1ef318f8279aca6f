//! What a definition must say, and how it is refused.

use experiments::manifest::Role;

use super::overrides::apply_overrides;
use super::*;

fn parse(text: &str) -> Result<Definition> {
    Definition::parse(text, &Registry::builtin(), Path::new(""))
}

/// A definition that needs nothing else.
const SMALL: &str = r#"
[experiment]
name = "small"
title = "A small experiment"
hypothesis = "None."
seeds = [1, 2]

[tasks]
names = ["alphabet_arithmetic"]

[base.shape]
width = 32
layers = 1
heads = 2
kv_heads = 1
feed_forward = 64
context = 160

[base.pretraining]
batch_size = 8
training = { steps = 4, learning_rate = 1e-3 }

[rollout]
temperature = 1.0
max_new_tokens = 64

[evaluation]
samples = 2
temperature = 1.0
max_new_tokens = 64

[training]
learning_rate = 1e-3

[teacher.traces]
file = "traces.jsonl"

[arm.sft]
algorithm.sft = { batch_size = 4 }
training.steps = 3

[arm.rl]
algorithm.grpo = { num_generations = 4 }
reward.correct = 1.0
training.steps = 5
"#;

fn refusal(change: impl Fn(String) -> String) -> String {
    format!("{:#}", parse(&change(SMALL.to_owned())).unwrap_err())
}

#[test]
fn a_definition_reads_in_the_order_of_its_arms() {
    let definition = parse(SMALL).unwrap();
    assert_eq!(definition.arm.keys().collect::<Vec<_>>(), ["sft", "rl"]);
    let rl = &definition.arm["rl"];
    assert_eq!(rl.role(), Role::Rl);
    let training = definition
        .training_of(&rl.training, "arm.rl.training")
        .unwrap();
    assert_eq!(training.steps, 5);
    assert!((training.learning_rate - 1e-3).abs() < 1e-12);
}

#[test]
fn a_misspelt_key_is_reported_at_its_line() {
    let refused = refusal(|text| text.replace("num_generations", "num_generation"));
    let line = SMALL
        .lines()
        .position(|line| line.contains("num_generations"))
        .unwrap()
        + 1;
    assert!(refused.contains(&format!("line {line}")), "{refused}");
    assert!(refused.contains("num_generation"), "{refused}");
}

#[test]
fn unknown_names_come_with_near_ones() {
    let task = refusal(|text| text.replace("alphabet_arithmetic", "alphabet_arithmetik"));
    assert!(
        task.contains("did you mean `alphabet_arithmetic`"),
        "{task}"
    );
    let reward = refusal(|text| text.replace("reward.correct", "reward.corect"));
    assert!(reward.contains("correct"), "{reward}");
    let algorithm = refusal(|text| text.replace("algorithm.grpo", "algorithm.gpro"));
    assert!(algorithm.contains("grpo"), "{algorithm}");
}

#[test]
fn what_is_missing_or_contradictory_is_named() {
    let cases: [(&str, &str, &str); 10] = [
        ("[base.shape]", "[basis.shape]", "base"),
        ("seeds = [1, 2]", "seeds = []", "experiment.seeds"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "twice"),
        ("[arm.rl]", "[arm.sft]", "duplicate key"),
        ("[arm.rl]", "[arm.base]", "already names"),
        ("reward.correct = 1.0", "", "reward"),
        ("training.steps = 5", "", "arm.rl.training.steps"),
        (
            "num_generations = 4",
            "num_generations = 1",
            "num_generations",
        ),
        ("heads = 2", "heads = 5", "width"),
        (
            "file = \"traces.jsonl\"",
            "worked = true\nproblems = 5\nassistant_only_loss = true",
            "teacher.traces.assistant_only_loss",
        ),
    ];
    for (from, to, expected) in cases {
        let refused = refusal(|text| text.replacen(from, to, 1));
        assert!(refused.contains(expected), "{from} -> {to}: {refused}");
    }
    let without_teacher =
        refusal(|text| text.replace("[teacher.traces]\nfile = \"traces.jsonl\"\n", ""));
    assert!(without_teacher.contains("[teacher]"), "{without_teacher}");
}

#[test]
fn questions_are_asked_of_the_models_that_a_definition_makes() {
    let asks = |contrast: &str| {
        format!("\n[[question]]\nname = \"q\"\ncontrast = \"{contrast}\"\ndirection = \"below\"\n")
    };
    let definition = parse(&format!("{SMALL}{}", asks("sft - base"))).unwrap();
    assert_eq!(definition.question.len(), 1);
    // A recording is no model: nothing of it is evaluated.
    let message = refusal(|text| [text, asks("sft - teacher")].concat());
    assert!(
        message.contains("no arm \"teacher\" (there are: base, sft, rl)"),
        "{message}"
    );
    parse(&judged(&asks("opd - teacher"))).unwrap();
    let message =
        refusal(|text| [text, asks("sft - base").replace("direction", "directon")].concat());
    assert!(message.contains("directon"), "{message}");
}

#[test]
fn overrides_change_the_text_and_are_checked_like_it() {
    let changed = apply_overrides(
        SMALL,
        &[
            "arm.sft.training.steps=7".to_owned(),
            "experiment.name=other".to_owned(),
        ],
    )
    .unwrap();
    let definition = parse(&changed).unwrap();
    assert_eq!(definition.arm["sft"].training.steps, Some(7));
    assert_eq!(definition.experiment.name, "other");
    let misspelt = apply_overrides(SMALL, &["arm.sft.training.step=7".to_owned()]).unwrap();
    assert!(format!("{:#}", parse(&misspelt).unwrap_err()).contains("step"));
    assert!(apply_overrides(SMALL, &["steps".to_owned()]).is_err());
}

#[test]
fn a_reference_follows_where_there_is_one_of_its_own() {
    let following = "num_generations = 4, beta = 0.1, sync_ref_model = true";
    let text = SMALL.replace("num_generations = 4", following);
    assert!(parse(&text).is_ok());
    let refused = refusal(|_| text.replace("[arm.rl]", "[arm.rl]\nlora = { r = 2, alpha = 4.0 }"));
    assert!(
        refused.contains("arm.rl") && refused.contains("sync_ref_model"),
        "{refused}"
    );
}

#[test]
fn settings_of_keeping_are_checked() {
    let none = refusal(|text| text.replace("[training]", "[training]\nkeep_last = 0"));
    assert!(none.contains("keep_last"), "{none}");
    let base = refusal(|text| text.replace("{ steps = 4,", "{ steps = 4, keep_best = true,"));
    assert!(
        base.contains("base.pretraining.training.keep_best"),
        "{base}"
    );
}

/// [`SMALL`] with a teacher that is a model, and an arm that it judges.
fn judged(arm: &str) -> String {
    let teacher = "[teacher]\nbase.model = \"somewhere\"\ntraces = { problems = 4 }\n";
    let text = SMALL.replace("[teacher.traces]\nfile = \"traces.jsonl\"\n", teacher);
    format!(
        "{text}\n[arm.opd]\nalgorithm.opd = {{ num_generations = 2 }}\ntraining.steps = 2\n{arm}"
    )
}

#[test]
fn a_teacher_that_judges_has_to_be_a_model_and_rewards_are_left_to_choice() {
    let definition = parse(&judged("")).unwrap();
    let opd = &definition.arm["opd"];
    assert_eq!(opd.role(), Role::Student);
    assert!(opd.distils() && !opd.imitates());
    assert!(parse(&judged("reward.correct = 1.0\n")).is_ok());
    let misspelt = parse(&judged("reward.corect = 1.0\n")).unwrap_err();
    assert!(format!("{misspelt:#}").contains("correct"));
    let recorded =
        refusal(|text| format!("{text}\n[arm.opd]\nalgorithm.opd = {{}}\ntraining.steps = 2\n"));
    assert!(
        recorded.contains("arm.opd") && recorded.contains("[teacher.base]"),
        "{recorded}"
    );
    // Where nobody imitates, no trace has to be shown.
    let alone = judged("")
        .replace("problems = 4", "problems = 0")
        .replace("algorithm.sft = { batch_size = 4 }", "algorithm.opd = {}");
    assert!(parse(&alone).is_ok());
    let shown = judged("").replace("problems = 4", "problems = 0");
    assert!(parse(&shown).is_err());
}

#[test]
fn chains_are_read_and_those_that_lead_nowhere_refused_by_name() {
    let after = |rl: &str, sft: &str| {
        refusal(|text| {
            text.replace("[arm.rl]", &format!("[arm.rl]\n{rl}"))
                .replace("[arm.sft]", &format!("[arm.sft]\n{sft}"))
        })
    };
    let whole = SMALL.replace("[arm.rl]", "[arm.rl]\ninit = \"arm:sft\"");
    let definition = parse(&whole).unwrap();
    let init = definition.arm["rl"].init.as_ref().unwrap();
    assert_eq!(init.arm, "sft");
    let again = toml::to_string(&definition).unwrap();
    assert_eq!(parse(&again).unwrap(), definition);
    let unknown = after("init = \"arm:sff\"", "");
    assert!(
        unknown.contains("arm.rl.init") && unknown.contains("sft, rl"),
        "{unknown}"
    );
    let bare = after("init = \"sft\"", "");
    assert!(bare.contains("arm:NAME") && bare.contains("line"), "{bare}");
    let circle = after("init = \"arm:sft\"", "init = \"arm:rl\"");
    assert!(
        circle.contains("circle") && circle.contains("arm.sft, arm.rl"),
        "{circle}"
    );
    let itself = after("init = \"arm:rl\"", "");
    assert!(itself.contains("circle"), "{itself}");
    let lora = "lora = { r = 4, alpha = 8.0 }";
    let adapters = after(&format!("init = \"arm:sft\"\n{lora}"), lora);
    assert!(
        adapters.contains("arm.rl.init") && adapters.contains("both have a lora"),
        "{adapters}"
    );
}

/// The stages of [`SMALL`] with another teacher, in a line each: folder, where it starts,
/// and whom it learns from.
fn stages(teacher: &str, seeds: &str) -> Vec<String> {
    let text = SMALL
        .replace("[teacher.traces]\nfile = \"traces.jsonl\"\n", teacher)
        .replace("seeds = [1, 2]", seeds);
    let Graph(stages) = Graph::of(&parse(&text).unwrap()).unwrap();
    let folder = |number: usize| stages[number].folder.as_str();
    let told = |stage: &Stage| {
        let start = match stage.start {
            Start::Stage(start) => folder(start),
            Start::Base => "[base]",
            Start::TeachersBase => "[teacher.base]",
        };
        let teacher = stage.teacher.map_or("", folder);
        format!("{} {start} {teacher}", stage.folder)
            .trim()
            .to_owned()
    };
    stages.iter().map(told).collect()
}

#[test]
fn roles_follow_from_where_a_stage_starts_and_whom_it_learns_from() {
    let own = "[teacher]\nseeds = [7, 8]\nbase.model = \"somewhere\"\ntraces.problems = 4\n";
    assert_eq!(
        stages(own, "seeds = [1, 2, 3, 4]")
            .into_iter()
            .filter(|line| !line.contains("arms/rl"))
            .collect::<Vec<_>>(),
        [
            "teacher/seed-7/base [teacher.base]",
            "teacher/seed-7 teacher/seed-7/base",
            "teacher/seed-8/base [teacher.base]",
            "teacher/seed-8 teacher/seed-8/base",
            "arms/base/seed-1 [base]",
            "arms/base/seed-2 [base]",
            "arms/base/seed-3 [base]",
            "arms/base/seed-4 [base]",
            "arms/sft/seed-1 arms/base/seed-1 teacher/seed-7",
            "arms/sft/seed-2 arms/base/seed-2 teacher/seed-7",
            "arms/sft/seed-3 arms/base/seed-3 teacher/seed-8",
            "arms/sft/seed-4 arms/base/seed-4 teacher/seed-8",
        ]
    );
    // A teacher that is what an arm of another seed ended with.
    let arm = "[teacher]\nseed = 9\ninit = \"arm:rl\"\ntraces.problems = 4\n";
    let found = stages(arm, "seeds = [1]");
    assert_eq!(
        found,
        [
            "arms/base/seed-9 [base]",
            "arms/rl/seed-9 arms/base/seed-9",
            "teacher arms/rl/seed-9",
            "arms/base/seed-1 [base]",
            "arms/rl/seed-1 arms/base/seed-1",
            "arms/sft/seed-1 arms/base/seed-1 teacher",
        ]
    );
    let circle = refusal(|text| {
        let teacher = "[teacher]\ninit = \"arm:sft\"\ntraces.problems = 4\n";
        text.replace("[teacher.traces]\nfile = \"traces.jsonl\"\n", teacher)
    });
    assert!(
        circle.contains("teacher, arm.sft wait for each other in a circle"),
        "{circle}"
    );
}

#[test]
fn a_teacher_may_imitate_what_is_there_and_teachers_share_their_students_evenly() {
    let teacher = |more: &str| {
        let base = "[teacher]\nbase.model = \"somewhere\"\ntraces.problems = 4\n";
        SMALL.replace(
            "[teacher.traces]\nfile = \"traces.jsonl\"\n",
            &format!("{base}{more}"),
        )
    };
    let imitates = "algorithm.sft = {}\ntraining.steps = 2\n";
    let refused = format!("{:#}", parse(&teacher(imitates)).unwrap_err());
    assert!(refused.contains("teacher.demonstrations"), "{refused}");
    let own = format!("{imitates}demonstrations = {{ worked = true, problems = 3 }}\n");
    parse(&teacher(&own)).unwrap();
    parse(&teacher(
        "lora = { r = 4, alpha = 8.0 }\nalgorithm.grpo = {}\ntraining.steps = 2\nreward.correct = 1.0\n",
    ))
    .unwrap();
    for (more, words) in [
        ("seeds = [1, 2, 3]", ["3 teachers", "with 3 seeds"]),
        ("seeds = [4, 4]", ["teacher.seeds", "twice"]),
        ("seed = 1\nseeds = [4]", ["both a seed", "seeds"]),
        ("init = \"arm:rl\"", ["both a base", "init"]),
    ] {
        let refused = format!("{:#}", parse(&teacher(more)).unwrap_err());
        for word in words {
            assert!(refused.contains(word), "{word} in {refused}");
        }
    }
    let arm = refusal(|text| text.replace("[arm.rl]", "[arm.rl]\nseeds = [3]"));
    assert!(arm.contains("arm.rl.seeds: only [teacher]"), "{arm}");
}

#[test]
fn every_definition_that_is_carried_reads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/definitions");
    let mut read = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Model cards and instructions for models that are there; see tests/norms.rs.
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("paper") {
            continue;
        }
        let (definition, _) = Definition::read(&path, &[], &Registry::builtin()).unwrap();
        assert!(definition.question.len() >= 3, "{name} asks too little");
        read.push(definition.experiment.name);
    }
    read.sort();
    let carried = [
        "aligned",
        "between",
        "chain-sum",
        "countdown",
        "gemma3",
        "gsm8k-form",
        "poles",
        "quickstart",
        "smollm2",
        "teachers",
        "yardstick",
    ];
    assert_eq!(read, carried);
}

#[test]
fn a_task_that_a_reward_is_kept_to_has_to_be_one_of_the_definition() {
    let kept = |task: &str| {
        let reward = format!(
            "reward.correct = 1.0\nreward.follow = {{ is = \"human_cost\", tasks = [\"{task}\"] }}"
        );
        parse(&SMALL.replace("reward.correct = 1.0", &reward))
    };
    assert!(kept("alphabet_arithmetic").is_ok());
    let message = format!("{:#}", kept("alphabet_arithmetics").unwrap_err());
    assert!(
        message.contains("reward.follow.tasks: alphabet_arithmetics"),
        "{message}"
    );
}

#[test]
fn what_a_reward_file_holds_is_told_by_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let table = "a = { file = \"f.py\" }\nb = { argv = [\"python3\", \"f.py\"] }\nc = 1.0\n";
    let table: toml::Table = toml::from_str(table).unwrap();
    let hashes = || reward_files(&table, folder.path()).unwrap();
    assert!(hashes().is_empty());
    std::fs::write(folder.path().join("f.py"), "one").unwrap();
    let first = hashes();
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a: f.py", "b: f.py"]);
    std::fs::write(folder.path().join("f.py"), "two").unwrap();
    assert_ne!(first, hashes());
}

#[test]
fn rewards_that_the_rest_of_the_definition_makes_nonsense_of_are_refused() {
    for (reward, says) in [
        ("correct = 0.0", "every reward has weight 0"),
        ("correct = { weight = 0 }", "every reward has weight 0"),
        (
            "length_cost = { kind = \"target\", target_tokens = 65 }",
            "target_tokens = 65",
        ),
        (
            "late = { is = \"overlong\", cache = 65 }",
            "reward.late.cache = 65",
        ),
        (
            "late = { is = \"overlong\", cache = 8, max_tokens = 65 }",
            "reward.late.max_tokens = 65",
        ),
    ] {
        let message =
            refusal(|text| text.replace("reward.correct = 1.0", &format!("reward.{reward}")));
        assert!(message.contains(says), "{reward}: {message}");
    }
    for own in [
        "overlong = { cache = 8, max_tokens = 64 }",
        "length_cost = { kind = \"target\", target_tokens = 65, max_tokens = 128 }",
    ] {
        let text = SMALL.replace("reward.correct = 1.0", &format!("reward.{own}"));
        assert!(parse(&text).is_ok(), "{own}");
    }
}

#[test]
fn a_sampler_belongs_to_own_samples_and_its_mistakes_are_found_before_a_run() {
    let table = "sampler = { endpoint = \"http://127.0.0.1:8000/v1\", model = \"policy\" }";
    let with = |sampler: &str, arm: &str| {
        let place = format!("[arm.{arm}]\n");
        SMALL.replace(&place, &format!("{place}{sampler}\n"))
    };
    let definition = parse(&with(table, "rl")).unwrap();
    let sampler = definition.arm["rl"].sampler.as_ref().unwrap();
    assert!(sampler.importance_sampling_correction);
    assert!((sampler.importance_sampling_clip_max - 3.0).abs() < f64::EPSILON);
    for (text, says) in [
        (with(table, "sft"), "arm.sft.sampler: sft samples nothing"),
        (
            with(&table.replace("http://", ""), "rl"),
            "arm.rl.sampler.endpoint: an address begins with http://",
        ),
        (
            with(
                &table.replace(" }", ", importance_sampling_clip_max = 0 }"),
                "rl",
            ),
            "arm.rl.sampler.importance_sampling_clip_max = 0",
        ),
        (with(&table.replace("model", "modle"), "rl"), "modle"),
        (
            with(
                &table.replace(" }", ", importance_sampling_mode = \"clip\" }"),
                "rl",
            ),
            "token_truncate",
        ),
        (
            with(table, "rl").replace("[rollout]", "[rollout]\nstop = [\"x\"]"),
            "rollout.stop with arm.rl.sampler",
        ),
    ] {
        let error = format!("{:#}", parse(&text).unwrap_err());
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn a_data_set_is_a_path_or_a_table_under_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jsonl"), "{\"prompt\": \"p\"}\n").unwrap();
    let parsed = |data: &str| {
        let text = SMALL.replace(
            "names = [\"alphabet_arithmetic\"]",
            &format!("names = [\"alphabet_arithmetic\", \"mine\"]\n{data}"),
        );
        let parsed = Definition::parse(&text, &Registry::builtin(), folder.path());
        parsed.map_err(|error| format!("{error:#}"))
    };
    let short = parsed("data.mine = \"a.jsonl\"").unwrap();
    let long = parsed("data.mine = { path = \"a.jsonl\" }").unwrap();
    assert_eq!(short, long);
    let shares = parsed("data.mine = { path = \"a.jsonl\", evaluation = 0.5 }").unwrap();
    assert_eq!(shares.tasks.data["mine"].evaluation, Some(0.5));
    let written = toml::to_string(&shares).unwrap();
    let read = Definition::parse(&written, &Registry::builtin(), folder.path()).unwrap();
    assert_eq!(read, shares);
    for (data, told) in [
        (
            "data.mine = 3",
            "the path of a data set, or a table with `path`",
        ),
        (
            "data.mine = { path = \"a.jsonl\", test = 0.1 }",
            "unknown field `test`",
        ),
        ("data.mine = \"b.jsonl\"", "b.jsonl does not exist"),
        (
            "data.mine = { path = \"a.jsonl\", evaluation = 2.0 }",
            "a share lies between 0 and 1",
        ),
        ("data.other = \"a.jsonl\"", "there is no task `mine`"),
        (
            "data = { mine = \"a.jsonl\", alphabet_arithmetic = \"a.jsonl\" }",
            "tasks.data.alphabet_arithmetic: the lab has a task of that name",
        ),
        (
            "data.mine = \"a.jsonl\"\nexamples.mine = [{ problem = \"p\", answer = \"\" }]",
            "tasks.examples.mine: an example has an empty problem or answer",
        ),
        (
            "data.mine = \"a.jsonl\"\nexamples.other = 2",
            "tasks.examples.other: tasks.names has no such task",
        ),
        (
            "data.mine = \"a.jsonl\"\nexamples.mine = -1",
            "a number of training problems",
        ),
        (
            "data.mine = \"a.jsonl\"\nchat_template_kwargs.messages = 1",
            "tasks.chat_template_kwargs.messages",
        ),
    ] {
        let error = parsed(data).unwrap_err();
        assert!(error.contains(told), "{data}: {error}");
    }
}

#[test]
fn what_imitates_has_the_learning_rate_of_trls_sft() {
    let rate = |text: &str, arm: &str| {
        let definition = parse(text).unwrap();
        let training = &definition.arm[arm].training;
        definition.training_of(training, arm).unwrap().learning_rate
    };
    let silent = SMALL.replace("[training]\nlearning_rate = 1e-3\n", "");
    assert_eq!(rate(&silent, "sft").to_bits(), 2e-5_f64.to_bits());
    assert_eq!(rate(&silent, "rl").to_bits(), 1e-6_f64.to_bits());
    assert_eq!(rate(SMALL, "sft").to_bits(), 1e-3_f64.to_bits());
    let own = silent.replace(
        "training.steps = 3",
        "training = { steps = 3, learning_rate = 1 }",
    );
    assert_eq!(rate(&own, "sft").to_bits(), 1.0_f64.to_bits());
}

#[test]
fn trls_names_of_settings_are_accepted_and_both_names_at_once_refused() {
    let trl = SMALL
        .replace("training.steps", "training.max_steps")
        .replace("max_new_tokens", "max_completion_length")
        .replace("samples = 2", "num_generations_eval = 2")
        .replace(
            "learning_rate = 1e-3\n",
            "learning_rate = 1e-3\nlr_scheduler_type = \"cosine\"\nsave_total_limit = 3\neval_steps = 7\n",
        );
    let own = SMALL.replace(
        "learning_rate = 1e-3\n",
        "learning_rate = 1e-3\nschedule = \"cosine\"\nkeep_last = 3\nvalidation_steps = 7\n",
    );
    assert_eq!(parse(&trl).unwrap(), parse(&own).unwrap());
    for (name, both) in [
        (
            "max_new_tokens",
            "max_new_tokens = 64\nmax_completion_length = 64",
        ),
        ("samples", "samples = 2\nnum_generations_eval = 2"),
    ] {
        let line = both.lines().next().unwrap();
        let refused = refusal(|text| text.replacen(line, both, 1));
        assert!(
            refused.contains(&format!("duplicate field `{name}`")),
            "{refused}"
        );
    }
}

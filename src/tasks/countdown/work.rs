//! Work on a puzzle, written out. Of `3 5 7 make 22`:
//!
//! | habit | completion |
//! |---|---|
//! | direct | `3 * 5 + 7` |
//! | correct | `<think> 3 5 7 ; 3 * 5 = 15 , 7 15 ; 7 + 15 = 22 ? 22 yes . </think> 7 + 3 * 5` |
//! | search | `<think> 3 5 7 ; 5 - 3 = 2 , 7 2 ; 7 * 2 = 14 ? 22 no . back . 3 5 7 ; 3 * 5 = 15 , 7 15 ; 7 + 15 = 22 ? 22 yes . </think> 7 + 3 * 5` |
//! | padded | `<think> hmm . 3 5 7 ; 3 * 5 = 15 , wait . start again . 3 5 7 ; 3 * 5 = 15 , 7 15 ; 7 + 15 = 22 ? 22 yes . </think> 7 + 3 * 5` |
//! | wrong | `<think> 3 5 7 ; 5 + 7 = 12 , 3 12 ; 3 + 12 = 22 ? 22 yes . </think> 3 + 5 + 7` |
//!
//! Each token follows from few before it: the numbers on the board are written after
//! each step, what the step made coming last, a verdict compares the last number with
//! the target beside it, and the answer puts the steps into each other. Bare steps
//! (`3 * 5 =`: `15`) and bare verdicts (`14 ? 22`: `no`) are documents of their own.
//!
//! A search makes failing tries at a place before it goes on. What a failing try
//! makes of the board is a dead end: no moves from there come to the target. After
//! one to `depth` steps the try is given up (`no`), and the board to which the search
//! goes back is written again. On a dead end the search may fail several times before
//! it goes back further, and at no place more than `breadth` times.

use anyhow::{Context, Result};
use rand::RngExt;
use rand::seq::SliceRandom;

use super::solver::{Game, Move, put};
use super::term::Term;
use crate::random::Stream;
use crate::tasks::corpus::{Habit, Shares, Written};
use crate::tasks::grading::{END_THINK, THINK};

/// The target is made.
const MADE: &str = "yes";
/// A try is given up.
const FAILED: &str = "no";
/// The search goes back to a board.
const BACK: &str = ". back .";

const OPENINGS: [&str; 3] = ["hmm .", "okay . let me see .", "well ."];
const RESTARTS: [&str; 3] = [
    "wait . start again .",
    "no . let me start again .",
    "hmm . wait . again .",
];
const CHECKS: [&str; 3] = ["let me check .", "check that again .", "is that right ."];
const CLOSINGS: [&str; 2] = ["okay .", "now i am sure ."];

/// The words of the work and of the prompts, beyond the lab's usual ones.
pub(super) fn words(signs: &[char], limit: u32) -> Vec<String> {
    let words = [super::NAME, "make", "back", MADE, "(", ")"].map(str::to_owned);
    let signs = signs.iter().map(char::to_string);
    let numbers = (0..=limit).map(|number| number.to_string());
    words.into_iter().chain(signs).chain(numbers).collect()
}

/// A step and what it is said to make.
pub(super) type Step = (Move, u32);

/// The work on one puzzle, as far as it is written.
pub(in crate::tasks) struct Work<'a> {
    pub(super) game: &'a Game,
    pub(super) numbers: &'a [u32],
    tokens: Vec<String>,
    focus: Vec<usize>,
}

impl<'a> Work<'a> {
    fn new(game: &'a Game, numbers: &'a [u32]) -> Self {
        Self {
            game,
            numbers,
            tokens: vec![THINK.to_owned()],
            focus: Vec::new(),
        }
    }

    /// The steps of the first solution there is.
    pub(in crate::tasks) fn solution(game: &'a Game, numbers: &'a [u32]) -> Result<Written> {
        let moves = game.solution(numbers).with_context(|| {
            format!(
                "{numbers:?} do not make {} in whole numbers up to {}, and work is written in those only",
                game.target, game.limit
            )
        })?;
        let mut work = Self::new(game, numbers);
        let mut steps = Vec::new();
        let mut board = numbers.to_vec();
        for next in moves {
            let found = game.moves(&board).find(|(known, _)| *known == next);
            let (_, made) = found.context("a solution is made of moves")?;
            board = put(&board, next, made);
            steps.push((next, made));
        }
        let answer = work.follow(&steps);
        work.answer(&answer);
        Ok(work.finish())
    }

    /// The work in the manner of a habit.
    pub(in crate::tasks) fn written(
        game: &'a Game,
        numbers: &'a [u32],
        habit: Habit,
        shares: &Shares,
        random: &mut Stream,
    ) -> Result<Written> {
        let mut work = Self::new(game, numbers);
        let steps = work
            .steps(random)
            .with_context(|| format!("{numbers:?} do not make {} in whole numbers", game.target))?;
        match habit {
            Habit::Direct => {
                let right = random.random_bool(shares.direct_right);
                let text = if right {
                    work.expression(&steps)
                } else {
                    work.guess(&steps, random)
                };
                return Ok(Written {
                    completion: text,
                    focus: Vec::new(),
                });
            }
            Habit::Padded => work.pad(&steps, random),
            Habit::Wrong => work.slip(&steps, random),
            Habit::Search => work.search(shares, random),
            Habit::Correct | Habit::Comparison => {
                let answer = work.follow(&steps);
                work.answer(&answer);
            }
        }
        Ok(work.finish())
    }

    /// A bare step with what it makes, or the verdict on what may be the last number;
    /// `None` where the numbers allow no step.
    pub(in crate::tasks) fn exercise(
        game: &Game,
        numbers: &[u32],
        random: &mut Stream,
    ) -> Option<(String, Written)> {
        let mut board = numbers.to_vec();
        for _ in 0..random.random_range(0..numbers.len() as u64 - 1) {
            let (next, made) = any_move(game, &board, random)?;
            board = put(&board, next, made);
        }
        let ((i, j, sign), made) = any_move(game, &board, random)?;
        let target = game.target;
        let (prompt, completion) = match random.random_range(0..4_u32) {
            0 => (format!("{target} ? {target}"), MADE.to_owned()),
            1 if made != target => (format!("{made} ? {target}"), FAILED.to_owned()),
            _ => (
                format!("{} {sign} {} =", board[i], board[j]),
                made.to_string(),
            ),
        };
        let focus = vec![0];
        Some((prompt, Written { completion, focus }))
    }

    /// Steps that come to the target, at each place one of those that can.
    fn steps(&self, random: &mut Stream) -> Option<Vec<Step>> {
        let mut board = self.numbers.to_vec();
        let mut steps = Vec::new();
        while board.len() > 1 {
            let (alive, _) = self.sorted(&board);
            let step = *pick(&alive, random)?;
            board = put(&board, step.0, step.1);
            steps.push(step);
        }
        Some(steps)
    }

    /// The moves from a board that can come to the target, and those that cannot;
    /// of those that read alike, the first.
    fn sorted(&self, board: &[u32]) -> (Vec<Step>, Vec<Step>) {
        let mut moves: Vec<Step> = Vec::new();
        for step in self.game.moves(board) {
            let reads = |((i, j, sign), _): Step| (board[i], sign, board[j]);
            if !moves.iter().any(|known| reads(*known) == reads(step)) {
                moves.push(step);
            }
        }
        moves.into_iter().partition(|(next, made)| {
            let left = put(board, *next, *made);
            self.game.search(&left).is_some()
        })
    }

    fn board(&self) -> Vec<Term> {
        self.numbers.iter().copied().map(Term::given).collect()
    }

    pub(super) fn expression(&self, steps: &[Step]) -> String {
        let end = steps.iter().fold(self.board(), |board, step| {
            let ((i, j, sign), made) = *step;
            let term = Term::of(&board[i], sign, &board[j], made);
            put(&board, step.0, term)
        });
        end.into_iter()
            .next()
            .map_or_else(String::new, |term| term.text)
    }

    /// Writes steps that are said to come to the target, and returns the expression
    /// behind them.
    pub(super) fn follow(&mut self, steps: &[Step]) -> String {
        let mut board = self.board();
        self.show(&board);
        for step in steps {
            board = self.step(&board, *step);
            if board.len() > 1 {
                self.say(",");
                self.show(&board);
            }
        }
        self.made();
        self.expression(steps)
    }

    fn pad(&mut self, steps: &[Step], random: &mut Stream) {
        // 1: a false start, 2: a repeated verification, 3: both.
        let padding = random.random_range(1..=3_u32);
        if random.random_bool(0.5) {
            self.say(any(&OPENINGS, random));
        }
        if padding & 1 != 0 {
            let mut board = self.board();
            self.show(&board);
            let started = random.random_range(0..steps.len() as u64) as usize;
            for step in &steps[..started] {
                board = self.step(&board, *step);
                self.say(",");
            }
            self.say(any(&RESTARTS, random));
        }
        let answer = self.follow(steps);
        if padding & 2 != 0 {
            self.say(any(&CHECKS, random));
            let mut board = self.board();
            for step in steps {
                board = self.step(&board, *step);
                if board.len() > 1 {
                    self.say(",");
                }
            }
            self.made();
        }
        if random.random_bool(0.3) {
            self.say(any(&CLOSINGS, random));
        }
        self.answer(&answer);
    }

    /// Tries that fail, are undone, and go on until one succeeds.
    fn search(&mut self, shares: &Shares, random: &mut Stream) {
        let mut board = self.board();
        let mut steps = Vec::new();
        let mut failed = false;
        self.show(&board);
        while board.len() > 1 {
            let values: Vec<u32> = board.iter().map(|term| term.value).collect();
            let (alive, mut dead) = self.sorted(&values);
            dead.shuffle(random);
            // A search fails at least once, where it can.
            let most = dead.len().min(shares.breadth as usize) as u64;
            let most = if shares.depth == 0 { 0 } else { most };
            let tries = random.random_range(most.min(u64::from(!failed))..=most);
            for step in &dead[..tries as usize] {
                self.fail(&board, *step, (shares.breadth, shares.depth), random);
                self.say(BACK);
                self.show(&board);
                failed = true;
            }
            let Some(step) = pick(&alive, random).copied() else {
                break;
            };
            board = self.step(&board, step);
            steps.push(step);
            if board.len() > 1 {
                self.say(",");
                self.show(&board);
            }
        }
        self.made();
        let answer = self.expression(&steps);
        self.answer(&answer);
    }

    /// A try that begins with this step onto a dead end, until it is given up.
    fn fail(
        &mut self,
        board: &[Term],
        step: Step,
        (breadth, depth): (u32, u32),
        random: &mut Stream,
    ) {
        let board = self.step(board, step);
        let values: Vec<u32> = board.iter().map(|term| term.value).collect();
        let mut tries = Vec::new();
        if board.len() == 1 {
            self.compare();
        } else {
            self.say(",");
            self.say_board(&board);
            if depth > 1 {
                // From a dead end nothing leads to the target.
                (_, tries) = self.sorted(&values);
                tries.shuffle(random);
                let most = tries.len().min(breadth as usize) as u64;
                tries.truncate(random.random_range(0..=most) as usize);
            }
        }
        if tries.is_empty() {
            self.decide(FAILED);
            return;
        }
        self.say(";");
        for (place, step) in tries.iter().enumerate() {
            if place > 0 {
                self.say(BACK);
                self.show(&board);
            }
            self.fail(&board, *step, (breadth, depth - 1), random);
        }
    }

    /// Writes a step and returns the board that it leads to.
    fn step(&mut self, board: &[Term], step: Step) -> Vec<Term> {
        let ((i, j, sign), made) = step;
        self.say(&format!("{} {sign} {} =", board[i].value, board[j].value));
        self.decide(&made.to_string());
        put(board, step.0, Term::of(&board[i], sign, &board[j], made))
    }

    /// Writes that the target is made.
    fn made(&mut self) {
        self.compare();
        self.decide(MADE);
        self.say(".");
    }

    /// Writes the target beside the last number.
    fn compare(&mut self) {
        self.say(&format!("? {}", self.game.target));
    }

    /// Writes a board from which a step follows.
    fn show(&mut self, board: &[Term]) {
        self.say_board(board);
        self.say(";");
    }

    fn say_board(&mut self, board: &[Term]) {
        for term in board {
            self.say(&term.value.to_string());
        }
    }

    /// Closes the work and answers.
    pub(super) fn answer(&mut self, expression: &str) {
        self.say(END_THINK);
        for word in expression.split(' ') {
            self.decide(word);
        }
    }

    /// Writes a token on which the outcome hangs.
    fn decide(&mut self, token: &str) {
        self.focus.push(self.tokens.len());
        self.say(token);
    }

    fn say(&mut self, text: &str) {
        self.tokens.extend(text.split(' ').map(str::to_owned));
    }

    /// The completion and the focus in its tokens.
    fn finish(self) -> Written {
        Written {
            completion: self.tokens.join(" "),
            focus: self.focus,
        }
    }
}

/// Some move from a board; `None` where there is none.
pub(super) fn any_move(game: &Game, board: &[u32], random: &mut Stream) -> Option<Step> {
    let moves: Vec<Step> = game.moves(board).collect();
    pick(&moves, random).copied()
}

fn pick<'a, T>(list: &'a [T], random: &mut Stream) -> Option<&'a T> {
    let last = (list.len() as u64).checked_sub(1)?;
    list.get(random.random_range(0..=last) as usize)
}

fn any(phrases: &[&'static str], random: &mut Stream) -> &'static str {
    phrases[random.random_range(0..phrases.len() as u64) as usize]
}

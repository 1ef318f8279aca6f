//! The language: what it has, what it may use up, and how it is asked.
//!
//! What it deliberately leaves out is Rhai's core package, which can sleep.

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{
    AST, Dynamic, Engine, EvalAltResult, OptimizationLevel, ParseErrorType, Position, Scope,
};

use super::Variable;
use crate::Score;

/// A slip such as `loop {}` ends within milliseconds; splitting and counting the
/// words of a long completion takes a tenth of it.
const MAX_OPERATIONS: u64 = 100_000;
/// In bytes; completions are far shorter, and may be put together.
const MAX_TEXT: usize = 16 << 20;
/// Of an array or a map.
const MAX_ENTRIES: usize = 100_000;
/// Calls within calls; each takes a piece of the thread's stack.
const MAX_CALLS: usize = 16;
/// Nesting of an expression, in and out of functions.
const MAX_DEPTH: usize = 64;
/// Variables at a time, and functions.
const MAX_NAMES: usize = 256;

/// An engine without anything that reaches outside.
pub(super) fn new() -> Engine {
    let mut engine = Engine::new_raw();
    ArithmeticPackage::new().register_into_engine(&mut engine);
    LogicPackage::new().register_into_engine(&mut engine);
    BasicMathPackage::new().register_into_engine(&mut engine);
    BasicStringPackage::new().register_into_engine(&mut engine);
    MoreStringPackage::new().register_into_engine(&mut engine);
    BasicArrayPackage::new().register_into_engine(&mut engine);
    BasicMapPackage::new().register_into_engine(&mut engine);
    BasicIteratorPackage::new().register_into_engine(&mut engine);
    for word in ["eval", "print", "debug"] {
        engine.disable_symbol(word);
    }
    engine
        .set_max_operations(MAX_OPERATIONS)
        .set_max_string_size(MAX_TEXT)
        .set_max_array_size(MAX_ENTRIES)
        .set_max_map_size(MAX_ENTRIES)
        .set_max_call_levels(MAX_CALLS)
        .set_max_expr_depths(MAX_DEPTH, MAX_DEPTH)
        .set_max_variables(MAX_NAMES)
        .set_max_functions(MAX_NAMES)
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        // The optimizer would take the variables' values at compile time for
        // those of every completion.
        .set_optimization_level(OptimizationLevel::None)
        // Integer division would make 0 of 1 / 2 in silence. The fast operators
        // are those that cannot be replaced.
        .set_fast_operators(false);
    engine.register_fn("/", |a: i64, b: i64| a as f64 / b as f64);
    engine.register_fn(
        "/=",
        |_: &mut i64, _: i64| -> Result<(), Box<EvalAltResult>> {
            Err("an integer is no place for a quotient: write `x = x / y`".into())
        },
    );
    engine
}

/// Compiles an expression, and tells which variables occur in it.
///
/// In strict mode an unknown variable is an error, so they are found by making
/// known the one that is missed and compiling again.
pub(super) fn compile(engine: &Engine, text: &str) -> Result<(AST, Vec<Variable>), String> {
    if text.trim().is_empty() {
        return Err("`expr` is empty: write an expression, such as `correct && !truncated`".into());
    }
    let mut scope = Scope::new();
    let mut used = Vec::new();
    loop {
        let error = match engine.compile_with_scope(&scope, text) {
            Ok(code) => return Ok((code, used)),
            Err(error) => error,
        };
        let place = place(error.position());
        let ParseErrorType::VariableUndefined(missed) = error.err_type() else {
            return Err(format!("`expr`{place}: {}", error.err_type()));
        };
        let known = Variable::ALL.iter().find(|(name, _)| name == missed);
        match known {
            Some((name, variable)) if !used.contains(variable) => {
                scope.push_constant(*name, ());
                used.push(*variable);
            }
            _ => {
                let names = Variable::ALL.map(|(name, _)| format!("`{name}`"));
                return Err(format!(
                    "`expr`{place}: there is no variable `{missed}`; the variables are {}",
                    names.join(", ")
                ));
            }
        }
    }
}

/// The score that compiled code comes to, or why it has none.
pub(super) fn evaluate(engine: &Engine, code: &AST, scope: &mut Scope) -> Result<Score, String> {
    let value: Dynamic = engine
        .eval_ast_with_scope(scope, code)
        .map_err(|mut error| {
            let place = place(error.take_position());
            format!("the expression failed{place}: {error}")
        })?;
    if value.is_unit() {
        return Ok(Score::does_not_apply());
    }
    let number = value
        .as_float()
        .or_else(|_| value.as_int().map(|value| value as f64))
        .or_else(|_| value.as_bool().map(|value| f64::from(u8::from(value))));
    number.map(Score::new).map_err(|kind| {
        format!("the expression gave a {kind}: it must give a number, true, false or ()")
    })
}

/// A place in the expression, if it is known, after a space.
fn place(position: Position) -> String {
    match (position.line(), position.position()) {
        (Some(line), Some(column)) => format!(" (line {line}, column {column})"),
        _ => String::new(),
    }
}

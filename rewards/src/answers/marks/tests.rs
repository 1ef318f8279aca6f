//! Which mark counts, what it announces, and that its style makes no difference.

use super::announced;
use crate::answers::Expected;

/// Texts, and what they announce.
const ANNOUNCED: &[(&str, &str)] = &[
    (" true ", "true"),
    ("Answer: 7", "7"),
    ("The answer is 7", "7"),
    ("so **Answer:** 7\nDone.", "7"),
    ("**Answer**: 7", "7"),
    ("ANSWER : 7", "7"),
    ("Answer:\n\n7\nDone.", "7"),
    ("Answer:", ""),
    ("Answer: 1\nAnswer: 2", "2"),
    ("Answer: at 12:30", "at 12:30"),
    ("MyAnswer: 7", "MyAnswer: 7"),
    ("\u{00E9}answer: 7", "\u{00E9}answer: 7"),
    (r"is \boxed{7}.", "7"),
    (r"\boxed{1}, no, \boxed{2}", "2"),
    ("\\boxed{1}\n\\boxed{2}", "2"),
    (r"\boxed{1} \boxed{2}", r"\boxed{1} \boxed{2}"),
    (r"$\boxed{1}$ or $\boxed{2}$", r"\boxed{1}$ or $\boxed{2}"),
    (r"\boxed{1} or 2", r"\boxed{1} or 2"),
    (r"is -\boxed{5}.", r"-\boxed{5}"),
    (r"$x = -\boxed{5}$", r"-\boxed{5}"),
    (r"so - \boxed{5}", "5"),
    (r"is $\boxed{3}^2$.", r"\boxed{3}^2"),
    (r"not $\boxed{3}$", r"not $\boxed{3}"),
    (r"\boxed {7}", "7"),
    (r"\boxed{so \boxed{b}}", "b"),
    (r"\boxed{a \boxed{b} c}", ""),
    (r"\boxed{1} \boxed{2", ""),
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"\boxed{\{1\}}", r"\{1\}"),
    (r"\boxed{a\}b}", r"a\}b"),
    ("\\boxed{1}\n\\boxed{2", "1"),
    (r"\boxed{2", r"\boxed{2"),
    (r"} \boxed{2}", ""),
    (r"\boxed{}", ""),
    (r"Answer: \boxed{7} cm", "7"),
    ("\\boxed{6}\nAnswer: 7", "7"),
    ("Answer: \u{4E03}\u{1F600}", "\u{4E03}\u{1F600}"),
    ("\\\u{1F600}\\boxed{\u{00E9}}", ""),
    (r"\fbox{7}", "7"),
    ("so <answer> 7 </answer>.", "7"),
    ("<answer>6</answer> <answer>7</answer>", "7"),
    ("<answer>7</answer> <answer>8", "7"),
    ("<answer>7</answer></answer>", "7"),
    ("<answer>6<answer>7</answer></answer>", "7"),
    ("<answer>7", "<answer>7"),
    ("7</answer>", "7</answer>"),
    ("</answer>7<answer>", "</answer>7<answer>"),
    ("<answer></answer>", ""),
    ("<Answer>7</ANSWER>", "7"),
    ("<answer>Answer: 7</answer>", "7"),
    (r"<answer>so \boxed{7}, yes</answer>", "7"),
    (r"\boxed{<answer>7</answer>}", "7"),
    (r"\boxed{6} <answer>7</answer>", "7"),
    ("Answer: <answer>7</answer> cm", "7"),
    ("<answer>6</answer>\nAnswer: 7", "7"),
    (r"<answer>6</answer> no, \boxed{7}", "7"),
    ("6 * 7 = 42.\n#### 42", "42"),
    ("#### 42 \n\n", "42"),
    ("#### Answer: 42", "42"),
    ("#### Result\n42", "#### Result\n42"),
    ("##### 42", "##### 42"),
    ("6 #### 7", "6 #### 7"),
    ("####", ""),
    ("\\boxed{6}\n#### 7", "7"),
    ("## Answer\n\n7\nDone.", "7"),
    ("### The final answer:\n7", "7"),
    ("**Final Answer**\n\n$$\n7\n$$", "7"),
    ("the word answer\n7", "the word answer\n7"),
    ("*answer* is a noun", "a noun"),
    ("> **Answer:**\n> 7", "7"),
    ("Answer:\n```\n7\n```", "7"),
    ("So the final answer is: 7.", "7."),
    ("Answer: 7. I hope this helps!", "7."),
    (
        "Answer: 7. Or is it 8? I hope so.",
        "7. Or is it 8? I hope so.",
    ),
    ("The answer isn't 7", "The answer isn't 7"),
    (
        "I do not think the answer is 7",
        "I do not think the answer is 7",
    ),
    ("Since 2 is not 3, the answer is 7", "7"),
    ("A wrong answer: 5", "A wrong answer: 5"),
    ("(Answer: 7)", "7"),
    ("(Answer: f(7))", "f(7)"),
    ("Answer: (7)", "(7)"),
    (r"\text{Answer: } 7", "7"),
    (r"\textbf{Answer: 7}", "7"),
    (r"\boxed{\text{Answer: } 7}", "7"),
    (r"Answer: \frac{1}{2}", r"\frac{1}{2}"),
    ("\u{201E}Answer: 7\u{201C}", "7"),
    (
        "\u{FF21}\u{FF4E}\u{FF53}\u{FF57}\u{FF45}\u{FF52}\u{FF1A}\u{FF17}",
        "\u{FF17}",
    ),
    ("<b>Answer:</b> 7", "7"),
    ("<b>Answer</b>: <b>7</b>", "<b>7</b>"),
    ("Answer - 7", "Answer - 7"),
    ("Answer:\n- 7\nDone.", "7"),
    ("Answer:\n- 7\n- 8\nDone.", "- 7\n- 8"),
    ("Answer: 7,\n8\nDone.", "7,\n8"),
    ("\\boxed{7}\nor\n\\boxed{8}", "\\boxed{7}\nor\n\\boxed{8}"),
    (
        "Answer: 7. Let me know if you agree. No, 8.",
        "7. Let me know if you agree. No, 8.",
    ),
    ("Answered: 7", "Answered: 7"),
];

/// Marks, the place of the answer as `{}`.
const MARKS: &[&str] = &[
    "Answer: {}",
    "**Answer:** {}",
    "**Answer: {}**",
    "**Answer**: {}",
    "*Answer*: {}",
    "_Answer_: {}",
    "__Answer:__ {}",
    "_Answer: {}_",
    "***Answer:*** {}",
    "**_Answer:_** {}",
    "`Answer:` {}",
    "`Answer: {}`",
    "`Answer`: {}",
    "ANSWER: {}",
    "answer : {}",
    "Answer\u{A0}: {}",
    "Answer:{}",
    "**Answer:**{}",
    "Answer:\n\n{}",
    "**Answer:**\n{}",
    "Answer\u{FF1A}{}",
    "\u{FF21}\u{FF4E}\u{FF53}\u{FF57}\u{FF45}\u{FF52}\u{FF1A} {}",
    "# Answer\n{}",
    "## Answer: {}",
    "### **Answer**\n\n{}",
    "**Answer**\n\n{}",
    "#### Final Answer: {}",
    "Final answer: {}",
    "**Final Answer:** {}",
    "**Final Answer**: {}",
    "The answer is {}",
    "The answer is: {}",
    "**The answer is {}.**",
    "So the answer is **{}**.",
    "Therefore, the final answer is {}.",
    "The final answer is: $\\boxed{{}}$",
    "\"Answer: {}\"",
    "\"Answer\": {}",
    "'Answer: {}'",
    "\u{201C}Answer: {}\u{201D}",
    "\u{201E}Answer: {}\u{201C}",
    "> Answer: {}",
    "> **Answer**: {}",
    "- Answer: {}",
    "* **Answer:** {}",
    "(Answer: {})",
    "[Answer: {}]",
    "<b>Answer:</b> {}",
    "<strong>Answer: {}</strong>",
    "\\text{Answer: } {}",
    "\\text{Answer: {}}",
    "\\textbf{Answer:} {}",
    "\\(\\text{Answer: } {}\\)",
    "$\\text{Answer: }{}$",
    "Answer: \\boxed{{}}",
    "\\boxed{{}}",
    "$\\boxed{{}}$",
    "\\(\\boxed{{}}\\)",
    "\\fbox{{}}",
    "**\\boxed{{}}**",
    "\\boxed{\\text{{}}}",
    "\\boxed{\\text{Answer: }{}}",
    "<answer>{}</answer>",
    "<answer> {} </answer>",
    "<ANSWER>{}</ANSWER>",
    "**<answer>{}</answer>**",
    "<answer>Answer: {}</answer>",
    "<answer>\\boxed{{}}</answer>",
    "Answer: <answer>{}</answer>",
    "#### {}",
    "#### **{}**",
    "#### $\\boxed{{}}$",
    "Answer: {}. I hope this helps!",
    "Answer: {}\n\nLet me know.",
    "\u{200B}Answer: {}",
];

/// What is written around an answer itself.
const ANSWERS: &[&str] = &[
    "{}",
    "**{}**",
    "*{}*",
    "_{}_",
    "`{}`",
    "'{}'",
    "\"{}\"",
    "\u{201C}{}\u{201D}",
    "\u{201E}{}\u{201C}",
    "\u{AB}{}\u{BB}",
    "${}$",
    "\\({}\\)",
    "\\text{{}}",
    "\\mathbf{{}}",
    "({})",
    "[{}]",
    "{}.",
    "**{}.**",
    "<b>{}</b>",
    "\u{200B}{}",
    "{} ",
];

#[test]
fn the_last_marker_announces_the_answer() {
    for (text, expected) in ANNOUNCED {
        assert_eq!(announced(text).answer, *expected, "{text}");
    }
}

/// What is counted as reasoning is the same in all styles.
#[test]
fn no_style_changes_the_answer_or_where_it_is_announced() {
    let mut failed = Vec::new();
    let work = "I add the two numbers and compare.";
    for (value, wide, other) in [
        ("true", "\u{FF54}\u{FF52}\u{FF55}\u{FF45}", "false"),
        ("13", "\u{FF11}\u{FF13}", "3"),
        ("B", "\u{FF22}", "A"),
    ] {
        let (wanted, unwanted) = (Expected::new(value), Expected::new(other));
        for mark in MARKS {
            for answer in ANSWERS {
                // No Markdown has a sign within the same sign.
                let (before, after) = mark.split_once("{}").unwrap_or((mark, ""));
                let beside = |sign: char| before.ends_with(sign) || after.contains(sign);
                if "*_`$"
                    .chars()
                    .any(|sign| answer.contains(sign) && beside(sign))
                {
                    continue;
                }
                for value in [value, wide] {
                    let answer = answer.replace("{}", value);
                    let text = format!("{work}\n\n{}", mark.replacen("{}", &answer, 1));
                    let read = announced(&text);
                    let before = read.mark.map(|mark| text[..mark].trim_end());
                    let placed = before == Some(work);
                    let is = |expected: &Option<Expected<'_>>| {
                        expected
                            .as_ref()
                            .is_some_and(|expected| expected.is(&read, 0.0))
                    };
                    if !(placed && is(&wanted) && !is(&unwanted)) {
                        failed.push(format!("{text:?}: {read:?}"));
                    }
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

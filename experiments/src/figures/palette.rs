//! Colours: those of Okabe and Ito, which readers with any of the common kinds
//! of colour blindness tell apart, and the ink they stand on.
//!
//! The ink, grid and paper colours occur nowhere else in an SVG, so a page can
//! restyle them by attribute (`text[fill="#1A1A1A"]`), for instance in the dark.

use plotters::style::RGBColor;

use crate::comparison::Comparison;
use crate::manifest::Role;

use super::marks::Shape;

/// Text and lines.
pub const INK: RGBColor = RGBColor(0x1A, 0x1A, 0x1A);
/// Text of lesser weight: tick labels, axis names.
pub const MUTED: RGBColor = RGBColor(0x5C, 0x5C, 0x5C);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(0xE3, 0xE3, 0xE3);
/// Background.
pub const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

const GREY: RGBColor = RGBColor(0x87, 0x87, 0x87);
const PURPLE: RGBColor = RGBColor(0xCC, 0x79, 0xA7);
const VERMILLION: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
/// For a second arm of a role, and for roles without a colour of their own.
const SPARE: [RGBColor; 4] = [
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xB8, 0xA9, 0x00),
];

fn role_color(role: Role) -> Option<RGBColor> {
    match role {
        Role::Base => Some(GREY),
        Role::Teacher => Some(PURPLE),
        Role::Student => Some(VERMILLION),
        Role::Rl => Some(BLUE),
        Role::Other => None,
    }
}

/// The colour of each arm of a comparison.
#[derive(Debug, Clone)]
pub struct Palette(Vec<(String, RGBColor)>);

impl Palette {
    /// A role's first arm gets the role's colour, so that base, teacher, student
    /// and rl look the same from report to report; further arms take the spare
    /// colours in order. Where those run out every arm gets its role's colour:
    /// better one colour for a kind than one colour for two kinds.
    pub fn of(comparison: &Comparison) -> Self {
        let arms = comparison.arms.iter();
        Self::of_arms(
            &arms
                .map(|arm| (arm.name.as_str(), arm.role))
                .collect::<Vec<_>>(),
        )
    }

    /// The same for arms that are not compared yet, by name and role.
    pub fn of_arms(arms: &[(&str, Role)]) -> Self {
        let first = |i: usize| arms[..i].iter().all(|(_, role)| *role != arms[i].1);
        let own = |i: usize| role_color(arms[i].1).filter(|_| first(i));
        let further = (0..arms.len()).filter(|i| own(*i).is_none()).count();
        let mut spare = SPARE.into_iter();
        let color = |(i, (name, role)): (usize, &(&str, Role))| {
            let color = if further > SPARE.len() {
                role_color(*role)
            } else {
                own(i).or_else(|| spare.next())
            };
            ((*name).to_owned(), color.unwrap_or(SPARE[0]))
        };
        Self(arms.iter().enumerate().map(color).collect())
    }

    /// The colour of an arm; grey for a name that the comparison does not have.
    pub fn color(&self, arm: &str) -> RGBColor {
        self.0
            .iter()
            .find(|(name, _)| name == arm)
            .map_or(GREY, |(_, color)| *color)
    }

    /// The shape that goes with the arm's colour.
    pub(super) fn shape(&self, arm: &str) -> Shape {
        let color = self.color(arm);
        let spare = SPARE.iter().position(|spare| *spare == color);
        match spare {
            Some(0) => Shape::Inverted,
            Some(1) => Shape::Plus,
            Some(2) => Shape::Cross,
            Some(_) => Shape::Bar,
            None if color == PURPLE => Shape::Square,
            None if color == VERMILLION => Shape::Triangle,
            None if color == BLUE => Shape::Diamond,
            None => Shape::Circle,
        }
    }

    /// The colour as `#0072B2`.
    pub fn hex(&self, arm: &str) -> String {
        let RGBColor(r, g, b) = self.color(arm);
        format!("#{r:02X}{g:02X}{b:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn roles_keep_their_colours_and_a_second_student_has_its_own() {
        let mut comparison = fixture::comparison();
        let mut second = comparison.arms[2].clone();
        second.name = "sft-long".to_owned();
        comparison.arms.insert(3, second);
        let colors = Palette::of(&comparison);
        assert_eq!(colors.hex("grpo"), "#0072B2");
        assert_eq!(colors.hex("sft"), "#D55E00");
        assert_eq!(colors.hex("sft-long"), "#009E73");
        assert_eq!(colors.hex("nobody"), "#878787");
    }

    #[test]
    fn more_arms_than_colours_are_coloured_by_role() {
        let mut comparison = fixture::comparison();
        for i in 0..5 {
            let mut copy = comparison.arms[2].clone();
            copy.name = format!("sft-{i}");
            comparison.arms.push(copy);
        }
        let colors = Palette::of(&comparison);
        assert!((0..5).all(|i| colors.hex(&format!("sft-{i}")) == "#D55E00"));
        assert_eq!(colors.hex("grpo"), "#0072B2");
    }
}

//! Which trainings of two arms belong together, and which are one draw.
//!
//! Trainings of one seed start from the same weights, so two arms differ seed by seed. Students
//! of one teacher share what it happened to become: where an arm's trainings learned from several
//! teachers, those of one teacher are averaged first, and the teachers are what varies.

/// What tells the trainings of an arm apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Training seed; `None` of a model without one.
    pub seed: Option<u64>,
    /// Training seed of the teacher that it, or what it started from, learned from.
    pub teacher: Option<u64>,
}

/// What makes a training of one arm belong to one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// The same seed.
    Seed,
    /// The first arm learned from the second's trainings, of which there are several.
    Taught,
    /// The second arm learned from the first's.
    Teaches,
    /// Nothing: a teacher's seeds are not those of an arm that it did not teach.
    Nothing,
}

/// The trainings of two arms, by their places in either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pairing {
    /// Pairs of trainings; the differences of a unit's pairs are averaged.
    Pairs(Vec<Vec<(usize, usize)>>),
    /// The arms have trainings of their own: the units of each.
    Apart([Vec<Vec<usize>>; 2]),
}

impl Pairing {
    /// The units of the difference, each with every pair of trainings that it is a mean of.
    pub fn units(&self) -> Vec<Vec<(usize, usize)>> {
        match self {
            Self::Pairs(units) => units.clone(),
            Self::Apart([first, second]) => {
                let others = second.concat();
                let of = |unit: &Vec<usize>| {
                    let with = |&a: &usize| others.iter().map(move |&b| (a, b));
                    unit.iter().flat_map(with).collect()
                };
                first.iter().map(of).collect()
            }
        }
    }

    /// The same with the arms exchanged.
    fn turned(self) -> Self {
        match self {
            Self::Pairs(units) => {
                let unit =
                    |unit: Vec<(usize, usize)>| unit.into_iter().map(|(a, b)| (b, a)).collect();
                Self::Pairs(units.into_iter().map(unit).collect())
            }
            Self::Apart([first, second]) => Self::Apart([second, first]),
        }
    }

    /// The places of either arm, unit by unit.
    pub fn sides(&self) -> [Vec<Vec<usize>>; 2] {
        match self {
            Self::Pairs(units) => {
                let side = |of: fn(&(usize, usize)) -> usize| -> Vec<Vec<usize>> {
                    let unit = |unit: &Vec<(usize, usize)>| unit.iter().map(of).collect();
                    units.iter().map(unit).collect()
                };
                [side(|pair| pair.0), side(|pair| pair.1)]
            }
            Self::Apart(sides) => sides.clone(),
        }
    }

    /// The places that count in either arm, each once.
    pub fn places(&self) -> [Vec<usize>; 2] {
        self.sides().map(|units| {
            let mut found = Vec::new();
            for place in units.into_iter().flatten() {
                if !found.contains(&place) {
                    found.push(place);
                }
            }
            found
        })
    }

    /// Whether a unit is what one teacher's students have in common.
    pub fn is_by_teacher(&self, [first, second]: [&[Origin]; 2]) -> bool {
        let [a, b] = self.places();
        let several = |places: &[usize], of: &[Origin]| {
            let counted: Vec<Origin> = places.iter().map(|&place| of[place]).collect();
            teachers(&counted).len() > 1
        };
        match self {
            Self::Pairs(_) => several(&a, first) || several(&b, second),
            Self::Apart(_) => several(&a, first),
        }
    }
}

/// The teachers that trainings name, each once, in their order.
pub fn teachers(trainings: &[Origin]) -> Vec<u64> {
    let mut found = Vec::new();
    for teacher in trainings.iter().filter_map(|training| training.teacher) {
        if !found.contains(&teacher) {
            found.push(teacher);
        }
    }
    found
}

/// The places of an arm's trainings, those of one teacher together where it has several. Trainings
/// that name none, beside others that do, may all be of one.
///
/// Worked example: teachers 100, 100, 101, 101 make `[[0, 1], [2, 3]]`; one teacher, or none named,
/// leaves every training by itself.
pub fn units(trainings: &[Origin]) -> Vec<Vec<usize>> {
    let several = teachers(trainings).len() > 1;
    let marks = trainings.iter().map(|training| {
        let mark = several.then_some((0, training.teacher));
        mark.into_iter().collect()
    });
    joined(&marks.collect::<Vec<_>>())
}

/// Pairs the trainings of two arms. Arms of one training each without a seed are one pair.
pub fn pairing(first: &[Origin], second: &[Origin], tie: Tie) -> Pairing {
    match tie {
        Tie::Taught => of_teachers(first, second),
        Tie::Teaches => of_teachers(second, first).turned(),
        Tie::Nothing => Pairing::Apart([units(first), units(second)]),
        Tie::Seed => {
            let pairs: Vec<(usize, usize)> = (first.iter().enumerate())
                .filter_map(|(at, training)| {
                    let same = |other: &Origin| other.seed == training.seed;
                    Some((at, second.iter().position(same)?))
                })
                .collect();
            if pairs.is_empty() {
                return Pairing::Apart([units(first), units(second)]);
            }
            let sides = [
                pairs.iter().map(|&(a, _)| first[a]).collect::<Vec<_>>(),
                pairs.iter().map(|&(_, b)| second[b]).collect(),
            ];
            let several = sides.each_ref().map(|side| teachers(side).len() > 1);
            let marks = |pair: usize| -> Vec<Mark> {
                let of = |side: usize| several[side].then(|| (side, sides[side][pair].teacher));
                [0, 1].into_iter().filter_map(of).collect()
            };
            let marks: Vec<Vec<Mark>> = (0..pairs.len()).map(marks).collect();
            let unit = |unit: Vec<usize>| unit.into_iter().map(|pair| pairs[pair]).collect();
            Pairing::Pairs(joined(&marks).into_iter().map(unit).collect())
        }
    }
}

/// Each student with its teacher; those whose teacher is not there are left out.
fn of_teachers(students: &[Origin], of: &[Origin]) -> Pairing {
    let mut found: Vec<(usize, Vec<usize>)> = Vec::new();
    for (student, training) in students.iter().enumerate() {
        let its = |teacher: &Origin| teacher.seed.is_some() && teacher.seed == training.teacher;
        let Some(teacher) = of.iter().position(its) else {
            continue;
        };
        match found.iter_mut().find(|(known, _)| *known == teacher) {
            Some((_, unit)) => unit.push(student),
            None => found.push((teacher, vec![student])),
        }
    }
    match found.as_slice() {
        [] => Pairing::Apart([Vec::new(), Vec::new()]),
        // One teacher is no draw of teachers: its students differ by their seeds alone.
        [(teacher, unit)] => {
            let alone = unit.iter().map(|&student| vec![student]);
            Pairing::Apart([alone.collect(), vec![vec![*teacher]]])
        }
        several => {
            let unit = |(teacher, unit): &(usize, Vec<usize>)| {
                unit.iter().map(|&student| (student, *teacher)).collect()
            };
            Pairing::Pairs(several.iter().map(unit).collect())
        }
    }
}

/// A side and a teacher of it.
type Mark = (usize, Option<u64>);

/// Places that share a mark, directly or by others, in the order of their first; one without marks
/// is alone.
fn joined(marks: &[Vec<Mark>]) -> Vec<Vec<usize>> {
    let mut units: Vec<(Vec<Mark>, Vec<usize>)> = Vec::new();
    for (at, own) in marks.iter().enumerate() {
        let (mut all, mut places) = (own.clone(), vec![at]);
        let mut apart = Vec::new();
        for (other, of) in units {
            if other.iter().any(|mark| own.contains(mark)) {
                all.extend(other);
                places.extend(of);
            } else {
                apart.push((other, of));
            }
        }
        places.sort_unstable();
        apart.push((all, places));
        units = apart;
    }
    let mut units: Vec<Vec<usize>> = units.into_iter().map(|(_, places)| places).collect();
    units.sort_unstable();
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seeds: &[(u64, u64)]) -> Vec<Origin> {
        let origin = |&(seed, teacher): &(u64, u64)| Origin {
            seed: Some(seed),
            teacher: (teacher > 0).then_some(teacher),
        };
        seeds.iter().map(origin).collect()
    }

    #[test]
    fn students_of_several_teachers_are_one_unit_a_teacher() {
        let students = of(&[(1, 100), (2, 100), (3, 101), (4, 101)]);
        assert_eq!(units(&students), [[0, 1], [2, 3]]);
        let base = of(&[(1, 0), (2, 0), (3, 0), (4, 0)]);
        let found = pairing(&students, &base, Tie::Seed);
        let pairs = vec![vec![(0, 0), (1, 1)], vec![(2, 2), (3, 3)]];
        assert_eq!(found, Pairing::Pairs(pairs.clone()));
        assert!(found.is_by_teacher([&students, &base]));
        assert_eq!(pairing(&base, &students, Tie::Seed), Pairing::Pairs(pairs));
    }

    #[test]
    fn one_teacher_or_none_leaves_every_training_by_itself() {
        for teacher in [0, 100] {
            let students = of(&[(1, teacher), (2, teacher)]);
            assert_eq!(units(&students), [[0], [1]]);
            let found = pairing(&students, &of(&[(2, 0), (1, 0)]), Tie::Seed);
            assert_eq!(found, Pairing::Pairs(vec![vec![(0, 1)], vec![(1, 0)]]));
            assert!(!found.is_by_teacher([&students, &students]));
        }
    }

    #[test]
    fn a_student_stands_beside_its_teacher_whatever_the_seeds() {
        // Seed 1 is a student's and a teacher's, which have nothing else in common.
        let students = of(&[(1, 2), (2, 2), (3, 1), (4, 9)]);
        let teachers = of(&[(1, 0), (2, 0)]);
        let pairs = vec![vec![(0, 1), (1, 1)], vec![(2, 0)]];
        let found = pairing(&students, &teachers, Tie::Taught);
        assert_eq!(found, Pairing::Pairs(pairs));
        assert_eq!(found.places(), [vec![0, 1, 2], vec![1, 0]]);
        let turned = pairing(&teachers, &students, Tie::Teaches);
        assert_eq!(turned.places(), [vec![1, 0], vec![0, 1, 2]]);
        let apart = pairing(&teachers, &of(&[(1, 0)]), Tie::Nothing);
        assert_eq!(
            apart,
            Pairing::Apart([vec![vec![0], vec![1]], vec![vec![0]]])
        );
    }

    #[test]
    fn where_one_teacher_is_left_it_is_that_teacher_alone() {
        let students = of(&[(1, 100), (2, 100), (3, 101)]);
        let found = pairing(&students, &of(&[(100, 0)]), Tie::Taught);
        assert_eq!(
            found,
            Pairing::Apart([vec![vec![0], vec![1]], vec![vec![0]]])
        );
        assert!(!found.is_by_teacher([&students, &of(&[(100, 0)])]));
        let none = pairing(&students, &of(&[(7, 0)]), Tie::Taught);
        assert!(none.units().is_empty());
    }

    #[test]
    fn teachers_that_are_dealt_otherwise_join_what_they_share() {
        let one = of(&[(1, 100), (2, 100), (3, 101), (4, 101), (5, 102)]);
        let other = of(&[(1, 200), (2, 201), (3, 201), (4, 202), (5, 203)]);
        let found = pairing(&one, &other, Tie::Seed);
        assert_eq!(
            found,
            Pairing::Pairs(vec![vec![(0, 0), (1, 1), (2, 2), (3, 3)], vec![(4, 4)]])
        );
    }
}

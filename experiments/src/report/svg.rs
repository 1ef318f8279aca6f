//! A figure in fewer bytes, drawn the same.
//!
//! plotters says everything of every shape. Here neighbours of one look share
//! it, what is the default is not said, and a line is a path of short steps.
//! A line with more points than anybody sees keeps those that give it its shape
//! (Ramer 1972; Douglas and Peucker 1973): first what lies within a quarter of
//! a pixel of what is kept goes, and in a figure that still has too many, more.
//! Only what plotters writes is read; a shape of another kind passes as it is.

use std::fmt::Write as _;

/// Points of all the lines of one figure.
const POINTS: usize = 2500;

/// Attributes that a group hands down to its shapes.
const INHERITED: [&str; 8] = [
    "fill",
    "fill-opacity",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "text-anchor",
    "font-size",
    "font-weight",
];

type Point = (i32, i32);

/// One shape or text: its tag, attributes and what stands in it.
struct Shape {
    tag: String,
    attributes: Vec<(String, String)>,
    points: Vec<Point>,
    content: Option<String>,
}

/// The figure in fewer bytes.
pub(super) fn compact(svg: &str) -> String {
    // Without its description: that stands in the page beside it.
    let (Some(start), Some(end)) = (svg.find("<rect"), svg.rfind("</svg>")) else {
        return svg.to_owned();
    };
    let (Some(head), Some(body)) = (svg.get(..start), svg.get(start..end)) else {
        return svg.to_owned();
    };
    let Some(mut shapes) = shapes(body) else {
        return svg.to_owned();
    };
    simplify(&mut shapes);
    let head = match (head.find("<desc>"), head.find("</desc>")) {
        (Some(from), Some(to)) if from < to => {
            let after = head.get(to + "</desc>".len()..).unwrap_or_default();
            format!("{}{after}", head.get(..from).unwrap_or_default())
        }
        _ => head.to_owned(),
    };
    let head = head.replacen("<svg ", "<svg font-family=\"sans-serif\" ", 1);
    let mut out: String = head.lines().collect();
    write_shapes(&mut out, &shapes);
    out.push_str("</svg>");
    out
}

/// The shapes in a body; `None` where it is not written as plotters writes.
fn shapes(body: &str) -> Option<Vec<Shape>> {
    let mut found = Vec::new();
    let mut rest = body.trim_start();
    while !rest.is_empty() {
        let (tag, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (tag, whole) = match tag.strip_suffix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let (name, attributes) = tag.split_once(' ')?;
        let content = if whole {
            rest = after;
            None
        } else {
            let (inside, beyond) = after.split_once(&format!("</{name}>"))?;
            if inside.contains('<') {
                return None;
            }
            rest = beyond;
            Some(inside.trim().to_owned())
        };
        found.push(shape(name, attributes_of(attributes)?, content)?);
        rest = rest.trim_start();
    }
    Some(found)
}

fn attributes_of(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"")?;
        let (value, beyond) = after.split_once('"')?;
        found.push((name.trim().to_owned(), value.to_owned()));
        rest = beyond.trim_start();
    }
    Some(found)
}

/// A shape without what is the default, its opacity that of its one colour.
fn shape(
    tag: &str,
    mut attributes: Vec<(String, String)>,
    content: Option<String>,
) -> Option<Shape> {
    let of = |attributes: &[(String, String)], name: &str| -> Option<String> {
        let found = attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let mut points = Vec::new();
    if ["polyline", "polygon"].contains(&tag) {
        for pair in of(&attributes, "points")?.split_whitespace() {
            let (x, y) = pair.split_once(',')?;
            points.push((x.parse().ok()?, y.parse().ok()?));
        }
        attributes.retain(|(name, _)| name != "points");
    }
    let no_stroke = of(&attributes, "stroke").is_none_or(|stroke| stroke == "none");
    let no_fill = of(&attributes, "fill").is_none_or(|fill| fill == "none");
    attributes.retain(|(name, value)| match name.as_str() {
        "stroke" => value != "none",
        "stroke-width" => !no_stroke,
        "opacity" => value != "1",
        // It is the whole figure's.
        "font-family" => false,
        "text-anchor" => value != "start",
        _ => true,
    });
    for (name, value) in &mut attributes {
        if name == "opacity" && no_stroke != no_fill {
            let of = if no_stroke {
                "fill-opacity"
            } else {
                "stroke-opacity"
            };
            of.clone_into(name);
        }
        if name == "font-size" {
            let size: f64 = value.parse().ok()?;
            *value = format!("{}", (size * 100.0).round() / 100.0);
        }
    }
    Some(Shape {
        tag: tag.to_owned(),
        attributes,
        points,
        content,
    })
}

impl Shape {
    /// What it shares with others of its look.
    fn look(&self) -> Vec<&(String, String)> {
        let all = self.attributes.iter();
        all.filter(|(name, _)| INHERITED.contains(&name.as_str()))
            .collect()
    }

    fn write(&self, out: &mut String, with_look: bool) {
        let tag = match self.tag.as_str() {
            "polyline" | "polygon" => "path",
            tag => tag,
        };
        let _ = write!(out, "<{tag}");
        for (name, value) in &self.attributes {
            if with_look || !INHERITED.contains(&name.as_str()) {
                let _ = write!(out, " {name}=\"{value}\"");
            }
        }
        if let Some((first, rest)) = self.points.split_first() {
            let _ = write!(out, " d=\"M{} {}", first.0, first.1);
            let mut last = first;
            for (i, point) in rest.iter().enumerate() {
                let (dx, dy) = (point.0 - last.0, point.1 - last.1);
                // A minus parts two numbers as well as a blank does.
                let before = match (i, dx < 0) {
                    (0, _) => "l",
                    (_, true) => "",
                    (_, false) => " ",
                };
                let between = if dy < 0 { "" } else { " " };
                let _ = write!(out, "{before}{dx}{between}{dy}");
                last = point;
            }
            out.push_str(if self.tag == "polygon" { "z\"" } else { "\"" });
        }
        match &self.content {
            Some(content) => {
                let _ = write!(out, ">{content}</{tag}>");
            }
            None => out.push_str("/>"),
        }
    }
}

fn write_shapes(out: &mut String, shapes: &[Shape]) {
    for alike in shapes.chunk_by(|a, b| a.tag == b.tag && a.look() == b.look()) {
        let Some(first) = alike.first() else { continue };
        if alike.len() == 1 {
            first.write(out, true);
            continue;
        }
        out.push_str("<g");
        for (name, value) in first.look() {
            let _ = write!(out, " {name}=\"{value}\"");
        }
        out.push('>');
        for shape in alike {
            shape.write(out, false);
        }
        out.push_str("</g>");
    }
}

/// Takes points out of the lines until a figure has few enough.
fn simplify(shapes: &mut [Shape]) {
    let mut within = 1.0;
    loop {
        let mut points = 0;
        for shape in &mut *shapes {
            shape.points = kept(&shape.points, within);
            points += shape.points.len();
        }
        // A line ends at two points, however many lines there are.
        if points <= POINTS.max(shapes.len() * 3) || within > 64.0 {
            return;
        }
        within *= 1.6;
    }
}

/// The points of a line that others do not stand for within this distance.
fn kept(points: &[Point], within: f64) -> Vec<Point> {
    let mut keep = vec![false; points.len()];
    let mut open = vec![(0, points.len().saturating_sub(1))];
    while let Some((from, to)) = open.pop() {
        let (Some(a), Some(b)) = (points.get(from), points.get(to)) else {
            continue;
        };
        for end in [from, to] {
            if let Some(kept) = keep.get_mut(end) {
                *kept = true;
            }
        }
        let between = points.iter().enumerate().take(to).skip(from + 1);
        let distances = between.map(|(at, p)| (at, distance(*p, *a, *b)));
        let furthest = distances.max_by(|x, y| x.1.total_cmp(&y.1));
        if let Some((at, far)) = furthest
            && far > within
        {
            open.extend([(from, at), (at, to)]);
        }
    }
    let marked = points.iter().zip(keep);
    marked.filter(|(_, keep)| *keep).map(|(p, _)| *p).collect()
}

/// How far a point lies from the line between two others.
fn distance(p: Point, a: Point, b: Point) -> f64 {
    let number = |(x, y): Point| (f64::from(x), f64::from(y));
    let ((px, py), (ax, ay), (bx, by)) = (number(p), number(a), number(b));
    let (dx, dy) = (bx - ax, by - ay);
    let length = dx.hypot(dy);
    if length == 0.0 {
        return (px - ax).hypot(py - ay);
    }
    // Beyond an end the end is what is nearest.
    let along = ((px - ax) * dx + (py - ay) * dy) / (length * length);
    let t = along.clamp(0.0, 1.0);
    (px - ax - t * dx).hypot(py - ay - t * dy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures;
    use crate::fixture;

    #[test]
    fn every_shape_and_word_is_still_there_in_half_the_bytes() {
        for figure in figures::all(&fixture::comparison()) {
            let small = compact(&figure.svg);
            let count = |svg: &str, tag: &str| svg.matches(&format!("<{tag} ")).count();
            for tag in ["circle", "text", "rect", "line"] {
                assert_eq!(
                    count(&small, tag),
                    count(&figure.svg, tag),
                    "{}",
                    figure.stem
                );
            }
            assert_eq!(
                count(&small, "path"),
                count(&figure.svg, "polyline") + count(&figure.svg, "polygon")
            );
            assert!(small.contains("<title>") && !small.contains("<desc>"));
            assert_eq!(small.matches("<g").count(), small.matches("</g>").count());
            assert!(small.len() * 3 < figure.svg.len() * 2, "{}", figure.stem);
        }
    }

    #[test]
    fn shapes_of_one_look_share_it_and_lines_are_steps() {
        let circle = |x: u32| {
            format!(
                "<circle cx=\"{x}\" cy=\"2\" r=\"10\" opacity=\"0.62\" fill=\"#878787\" stroke=\"none\" stroke-width=\"1\"/>\n"
            )
        };
        let line = "<polyline fill=\"none\" opacity=\"1\" stroke=\"#E3E3E3\" stroke-width=\"4\" points=\"5,5 9,40 20,3 \"/>";
        let svg = format!(
            "<svg xmlns=\"n\">\n<title>t</title>\n<desc>d</desc>\n<rect x=\"0\" opacity=\"1\" fill=\"#FFFFFF\" \
             stroke=\"none\"/>\n{}{}{line}\n</svg>\n",
            circle(1),
            circle(7)
        );
        assert_eq!(
            compact(&svg),
            "<svg font-family=\"sans-serif\" xmlns=\"n\"><title>t</title><rect x=\"0\" fill=\"#FFFFFF\"/>\
             <g fill-opacity=\"0.62\" fill=\"#878787\"><circle cx=\"1\" cy=\"2\" r=\"10\"/><circle cx=\"7\" cy=\"2\" \
             r=\"10\"/></g><path fill=\"none\" stroke=\"#E3E3E3\" stroke-width=\"4\" d=\"M5 5l4 35 11-37\"/></svg>"
        );
    }

    #[test]
    fn a_line_keeps_its_peaks_and_ends() {
        let mut line: Vec<Point> = (0..100).map(|x| (x, 0)).collect();
        line[40].1 = 30;
        assert_eq!(
            kept(&line, 1.0),
            [(0, 0), (39, 0), (40, 30), (41, 0), (99, 0)]
        );
        assert_eq!(kept(&[(3, 4)], 1.0), [(3, 4)]);
        assert!(kept(&[], 1.0).is_empty());
    }

    #[test]
    fn what_is_not_written_as_plotters_writes_passes_as_it_is() {
        for svg in [
            "<svg>",
            "<svg><rect x=\"1\"><b></rect></svg>",
            "<svg><rect 1/></svg>",
        ] {
            assert_eq!(compact(svg), svg);
        }
    }
}

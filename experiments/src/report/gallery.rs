//! Figures as the page shows them: each with its definition, its data and,
//! by the page's script, as a file of its own.
//!
//! The data stands in an attribute of the figure, once, until the page has
//! enough of it; what is longer lies beside the page, which links to it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::figures::Figure;

use super::beside::File;
use super::markup::{escape, text};
use super::svg;

/// Bytes of data that all figures of a page hold together.
const DATA: usize = 200 << 10;

/// The figures of one page.
pub(super) struct Gallery {
    /// Whether there are to be files beside the page.
    beside: bool,
    left: Cell<usize>,
    taken: RefCell<BTreeSet<String>>,
    files: RefCell<Vec<File>>,
}

impl Gallery {
    pub(super) fn new(beside: bool) -> Self {
        Self {
            beside,
            left: Cell::new(DATA),
            taken: RefCell::default(),
            files: RefCell::default(),
        }
    }

    /// Figures beside each other where there is room; `class` is of their grid.
    pub(super) fn grid<'f>(
        &self,
        class: &str,
        figures: impl IntoIterator<Item = &'f Figure>,
    ) -> String {
        let mut out = String::new();
        for figure in figures {
            out.push_str(&self.figure(figure));
        }
        if out.is_empty() {
            return out;
        }
        format!("<div class=\"figures {class}\">\n{out}</div>\n")
    }

    fn figure(&self, figure: &Figure) -> String {
        let stem = self.own_name(&figure.stem);
        let data = escape(&figure.csv);
        let mut link: Cow<'_, str> = "".into();
        let mut attribute = String::new();
        if let Some(left) = self.left.get().checked_sub(data.len()) {
            self.left.set(left);
            attribute = format!(" data-csv=\"{data}\"");
        } else if self.beside {
            let path = format!("figures/{stem}.csv");
            link = format!("<a class=\"tool\" href=\"{path}\" download>CSV</a>").into();
            self.files.borrow_mut().push(File {
                path,
                content: figure.csv.clone(),
            });
        } else {
            link = "<span class=\"tool\">Its data is too long for this page.</span>".into();
        }
        let mut out = String::new();
        let _ = writeln!(
            out,
            "<figure class=\"drawn\" data-name=\"{stem}\"{attribute}>{}<figcaption>{link}\
             <p class=\"definition\" id=\"about-{stem}\">{}</p></figcaption></figure>",
            svg::compact(&figure.svg),
            text(&figure.definition)
        );
        out
    }

    /// A name that no other figure of the page has.
    fn own_name(&self, stem: &str) -> String {
        let mut taken = self.taken.borrow_mut();
        let mut name = stem.to_owned();
        let mut copy = 2;
        while !taken.insert(name.clone()) {
            name = format!("{stem}-{copy}");
            copy += 1;
        }
        name
    }

    /// The data that the page links to.
    pub(super) fn into_files(self) -> Vec<File> {
        self.files.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(rows: usize) -> Figure {
        Figure {
            stem: "curve-loss".to_owned(),
            title: "Loss".to_owned(),
            definition: "What < this is.".to_owned(),
            svg: "<svg></svg>".to_owned(),
            csv: "a,\"b\"\n".repeat(rows),
        }
    }

    #[test]
    fn data_stands_in_the_page_until_it_is_too_long_and_then_beside_it() {
        let gallery = Gallery::new(true);
        let page = gallery.grid("", &[figure(2), figure(1 << 20), figure(1)]);
        assert_eq!(page.matches(" data-csv=\"a,&quot;b&quot;\n").count(), 2);
        assert!(page.contains("What &lt; this is."));
        assert!(page.contains(" href=\"figures/curve-loss-2.csv\""));
        let files = gallery.into_files();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].path, "figures/curve-loss-2.csv");
        assert_eq!(files[0].content, figure(1 << 20).csv);
    }

    #[test]
    fn a_page_that_stands_alone_links_to_nothing() {
        let gallery = Gallery::new(false);
        let page = gallery.grid("", &[figure(1 << 20)]);
        assert!(!page.contains("href=") && !page.contains("data-csv"));
        assert!(gallery.into_files().is_empty());
    }
}

//! What the hub refuses, in words that say what helps.

use super::Hub;
use super::client::Refusal;
use super::name::{Kind, Name};
use crate::store::models_folder;

/// How like a name must be to be offered in place of one that is unknown.
const NEAR: f64 = 0.85;

impl Hub {
    /// What the hub refused, and what helps.
    pub(super) fn explained(&self, refusal: &Refusal, name: &Name) -> String {
        let Self { endpoint, .. } = self;
        let (kind, repo) = (name.kind.word(), &name.repo);
        let page = match name.kind {
            Kind::Model => format!("{endpoint}/{repo}"),
            Kind::DataSet => format!("{endpoint}/datasets/{repo}"),
        };
        let set_token = "give a token of yours in HF_TOKEN, or with hf auth login";
        match refusal {
            Refusal::Repository => {
                let near = self.near(name);
                let near = near.map_or_else(String::new, |near| {
                    format!("; did you mean {near}, which is here?")
                });
                let private = if self.token.is_some() {
                    "it is private and your token may not read it"
                } else {
                    "it is private and HF_TOKEN is not set"
                };
                format!("{endpoint} knows no {kind} {repo}, or {private}{near}")
            }
            Refusal::Revision => format!(
                "{kind} {repo} has no revision {} at {endpoint}; {page}/commits/main lists them",
                name.revision()
            ),
            Refusal::File => format!("{name} has a file less than {endpoint} lists; try again"),
            Refusal::Gated if self.token.is_none() => {
                format!("{kind} {repo} is gated: accept its terms at {page}, and {set_token}")
            }
            Refusal::Gated => format!(
                "{kind} {repo} is gated, and your token may not read it: accept its terms at {page}, \
                 or take a token that may read gated repositories"
            ),
            Refusal::Token => format!("{endpoint} does not accept your token: {set_token}"),
            Refusal::Other(what) => format!("{name} cannot be had: {what}"),
        }
    }

    /// A name here that may have been meant by one that the hub does not know.
    fn near(&self, name: &Name) -> Option<String> {
        let mut known = self.cache.repositories(name.kind);
        if name.kind == Kind::Model {
            let own = models_folder().ok();
            let own = own.and_then(|own| own.read_dir().ok());
            let own = own.into_iter().flatten().flatten();
            known.extend(own.filter_map(|entry| entry.file_name().into_string().ok()));
        }
        let likeness = |known: &str| {
            let last = name.repo.rsplit('/').next().unwrap_or_default();
            // The lab's own names have no organisation.
            let meant = if known.contains('/') {
                &name.repo
            } else {
                last
            };
            strsim::jaro_winkler(&meant.to_lowercase(), &known.to_lowercase())
        };
        let known = known.into_iter().filter(|known| *known != name.repo);
        let known = known.map(|known| (likeness(&known), known));
        let best = known.max_by(|a, b| a.0.total_cmp(&b.0));
        best.filter(|(likeness, _)| *likeness >= NEAR)
            .map(|(_, known)| known)
    }
}

/// That of some names which is most like one, if any is.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.map(|known| (strsim::jaro_winkler(name, known), known));
    let best = known.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness >= NEAR)
        .map(|(_, known)| known)
}

//! The first host of a list of hosts as Slurm writes it: `gpu[03-05,9],login`.

/// The first host; `None` of a list that names none or is not whole.
///
/// Worked examples: `gpu[03-05,9],login` begins with `gpu03`, `a-1,b` with
/// `a-1`, `rack[1-2]-node[7,9]` with `rack1-node7`.
pub(super) fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list.trim();
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            ',' => break,
            '[' => {
                let (range, after) = rest.split_once(']')?;
                host.push_str(range.split([',', '-']).next()?);
                rest = after;
            }
            ']' => return None,
            other => host.push(other),
        }
    }
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::first_host;

    #[test]
    fn the_first_host_is_found_in_every_form() {
        for (list, host) in [
            ("login", "login"),
            ("gpu[03-05,9],login", "gpu03"),
            ("gpu[9,11]", "gpu9"),
            ("a-1,b-[2-3]", "a-1"),
            ("rack[1-2]-node[7,9].site", "rack1-node7.site"),
        ] {
            assert_eq!(first_host(list).as_deref(), Some(host), "{list}");
        }
        for list in ["", "gpu[03-", "gpu]3"] {
            assert_eq!(first_host(list), None, "{list}");
        }
    }
}

//! Examples that a page shows: a code block under a line that names a file is that file, letter by letter, so that what is
//! read is what is run.

use crate::Breaches;

/// What the line above such a block begins with; the name of the file and [`MARK_ENDS`] follow.
const MARK: &str = "<!-- the file ";
const MARK_ENDS: &str = " -->";

/// The blocks of a page that stand for files: the name, and the text of the block, `None` where no whole block follows.
#[must_use]
pub fn blocks(page: &str) -> Vec<(String, Option<String>)> {
    let mut lines = page.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(MARK_ENDS)) else { continue };
        let opened = lines.next().is_some_and(|line| line.starts_with("```"));
        let mut text = String::new();
        let closed = opened
            && lines.by_ref().any(|line| {
                let is_end = line == "```";
                if !is_end {
                    text.push_str(line);
                    text.push('\n');
                }
                is_end
            });
        found.push((name.to_owned(), closed.then_some(text)));
    }
    found
}

/// Blocks of a page that are not the file that they name.
#[must_use]
pub fn breaches(page: &str, text: &str, read: impl Fn(&str) -> Option<String>) -> Breaches {
    let differs = |(name, block): (String, Option<String>)| match (block, read(&name)) {
        (_, None) => Some(format!("{page} shows `{name}`, which does not exist")),
        (None, _) => Some(format!("{page} names `{name}`, and no code block stands right below")),
        (Some(block), Some(file)) if block != file => {
            Some(format!("{page} shows another text than `{name}` has: put the file's text into the block"))
        }
        _ => None,
    };
    blocks(text).into_iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(code: &str) -> String {
        format!("# A\n\n```sh\nother\n```\n\n<!-- the file docs/examples/a.py -->\n```python\n{code}```\nafter\n")
    }

    #[test]
    fn a_block_is_held_against_the_file_that_it_names() {
        let read = |name: &str| (name == "docs/examples/a.py").then(|| "one\n\ntwo\n".to_owned());
        assert_eq!(blocks(&page("x\n")), [("docs/examples/a.py".to_owned(), Some("x\n".to_owned()))]);
        assert_eq!(breaches("p.md", &page("one\n\ntwo\n"), read), Breaches::new());
        for wrong in ["one\ntwo\n", "one\n\ntwo \n", "one\n\ntwo\nthree\n", ""] {
            assert!(breaches("p.md", &page(wrong), read)[0].contains("another text"), "{wrong:?}");
        }
        assert!(breaches("p.md", &page("one\n\ntwo\n"), |_| None)[0].contains("does not exist"));
        let loose = "<!-- the file docs/examples/a.py -->\n\n```python\none\n\ntwo\n```\n";
        assert!(breaches("p.md", loose, read)[0].contains("no code block"));
        let open = "<!-- the file docs/examples/a.py -->\n```python\none\n\ntwo\n";
        assert!(breaches("p.md", open, read)[0].contains("no code block"));
    }
}

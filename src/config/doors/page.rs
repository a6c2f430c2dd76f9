//! The page `docs/migrating.md`: words by hand, tables from the words' definitions.

use super::{Fate, Word, gunicorn, uvicorn, uwsgi};
use crate::options;
use std::fmt::Write;

const HEAD: &str = include_str!("migrating.md");

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Every setting of gunicorn\n\n");
    table(&mut page, gunicorn::WORDS);
    page.push_str("\n### Hooks\n\n| function | called |\n|---|---|\n");
    for hook in gunicorn::HOOKS {
        match hook.when {
            "" => line(
                &mut page,
                format_args!("| `{}` | never: {} |", hook.name, hook.why_not),
            ),
            when => line(&mut page, format_args!("| `{}` | {when} |", hook.name)),
        }
    }
    page.push_str("\n## Every flag of uvicorn\n\n");
    page.push_str(UVICORN_SAME);
    table(&mut page, uvicorn::WORDS);
    page.push_str(UVICORN_VARIABLES);
    page.push_str(
        "\n## Keys of uwsgi.ini\n\nOther keys have no effect; one warning names them all.\n\n",
    );
    table(&mut page, uwsgi::WORDS);
    page.push_str("\nThis page is made by `ringgate --help-migrating`.\n");
    page
}

const UVICORN_SAME: &str = "\
These are [options](options.md) of ringgate, with the same meaning: `--reload`, `--reload-include`, `--workers`, `--loop`, `--ws-max-size`,
`--ws-ping-interval`, `--ws-ping-timeout`, `--ws-per-message-deflate`, `--lifespan`, `--interface`, `--log-config`, `--log-level`, `--access-log`,
`--proxy-headers`, `--forwarded-allow-ips`, `--root-path`, `--limit-concurrency` (further requests wait; `--pending` bounds how many),
`--backlog`, `--limit-max-requests`, `--limit-max-requests-jitter`, `--timeout-keep-alive`, `--timeout-graceful-shutdown`, `--factory`. The others:

";
/// Behind the table.
const UVICORN_VARIABLES: &str =
    "\nThe variables `UVICORN_*` are read too, after everything else.\n";

fn table(page: &mut String, words: &[Word]) {
    page.push_str("| theirs | here |\n|---|---|\n");
    for word in words {
        line(
            page,
            format_args!("| `{}` | {} |", word.name, what(word).replace('|', "\\|")),
        );
    }
}

fn what(word: &Word) -> String {
    match word.fate {
        Fate::Ours(option) => format!("`--{option}`"),
        Fate::Says(option, value) => match (options::option(option).is_bare(), value) {
            (true, "true") => format!("`--{option}`"),
            (true, _) => format!("`--no-{option}`"),
            (false, "") => format!("`--{option}=`"),
            (false, value) => format!("`--{option} {value}`"),
        },
        Fate::Made(_, words) => words.to_owned(),
        Fate::AsIs(words) => format!("nothing to do: {words}"),
        Fate::Ignored(words) => format!("accepted without effect, and said so once: {words}"),
        Fate::Refused(words) => format!("**refused**: {words}"),
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/migrating.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == super::page(),
            "docs/migrating.md is not what the definitions say; renew it: ringgate --help-migrating > docs/migrating.md"
        );
    }
}

//! The page `docs/configuration.md`: words by hand, tables from the definitions.

use super::keys::{APPLICATION, CACHE, Key, LOCATION, ROUTE};
use super::sample::example;
use super::{key_of, options, own_options};
use crate::options::Group;
use std::fmt::Write;

const HEAD: &str = include_str!("page.md");

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Keys of `[[server.location]]`\n\n");
    table(&mut page, LOCATION);
    page.push_str("\n### Keys of a `cache` rule\n\n");
    table(&mut page, CACHE);
    page.push_str("\n## Keys of `[app.NAME]`\n\n");
    table(&mut page, APPLICATION);
    let own: Vec<String> = own_options()
        .map(|option| format!("`{}`", key_of(option)))
        .collect();
    line(
        &mut page,
        format_args!(
            "\nAlso {}: as at the top of the file, for this application alone. Variables of `env` and directories of `pythonpath` \
             are added to those at the top.\n",
            own.join(", ")
        ),
    );
    page.push_str("\n### Keys of `[[app.NAME.route]]`\n\n");
    table(&mut page, ROUTE);
    page.push_str("\n## Keys at the top or under `[server]`\n\nThese are the [options](options.md) of the command line, with `_` for `-`.\n");
    for group in Group::ALL {
        line(
            &mut page,
            format_args!(
                "\n### {}\n\n| key | e.g. | |\n|---|---|---|\n",
                group.title()
            ),
        );
        for option in options().filter(|option| option.group == group && !option.hidden) {
            line(
                &mut page,
                format_args!(
                    "| `{}` | `{}` | {}. |\n",
                    key_of(option),
                    example(option),
                    option.help
                ),
            );
        }
    }
    page.push_str("\nThis page is made by `ringgate config --reference`.\n");
    page
}

fn table(page: &mut String, keys: &[Key]) {
    page.push_str("| key | value | default | |\n|---|---|---|---|\n");
    for key in keys {
        let default = if key.default.is_empty() {
            String::new()
        } else {
            format!("`{}`", key.default)
        };
        line(
            page,
            format_args!(
                "| `{}` | {} | {default} | {} |\n",
                key.name,
                key.shape,
                key.help.replace('|', "\\|")
            ),
        );
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn the_committed_page_is_current() {
        assert!(
            committed() == page(),
            "docs/configuration.md is not what the definitions say; renew it: ringgate config --reference > docs/configuration.md"
        );
    }

    #[test]
    fn the_page_names_every_key() {
        let page = committed();
        let sections = LOCATION
            .iter()
            .chain(CACHE)
            .chain(APPLICATION)
            .chain(ROUTE)
            .map(|key| key.name.to_owned());
        let options = options().filter(|option| !option.hidden).map(key_of);
        for key in sections.chain(options) {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
    }

    /// The examples of every page, by its name.
    fn examples() -> Vec<(String, String)> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
        let pages = std::fs::read_dir(directory).expect("docs").flatten();
        let mut examples = Vec::new();
        for page in pages.map(|entry| entry.path()) {
            let name = page.file_name().unwrap_or_default().to_string_lossy();
            let text = std::fs::read_to_string(&page).expect("a page");
            let blocks = text.split("```toml\n").skip(1);
            let bodies = blocks.filter_map(|block| block.split("```").next());
            examples.extend(bodies.map(|body| (name.to_string(), body.to_owned())));
        }
        examples
    }

    #[test]
    fn the_examples_of_every_page_are_right() {
        let examples = examples();
        assert!(examples.len() >= 7, "{examples:?}");
        for (page, example) in examples {
            let document = super::super::read(&example, "example", std::path::Path::new("/d"));
            assert!(document.is_ok(), "{page}: {:?}", document.err());
        }
    }

    #[test]
    fn the_page_on_static_files_shows_every_key_of_a_location() {
        let examples = examples().into_iter();
        let of_files = examples.filter(|(page, _)| page == "static-files.md");
        let shown: String = of_files.map(|(_, example)| example).collect();
        for key in LOCATION {
            assert!(shown.contains(key.name), "{}", key.name);
        }
    }
}

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

    /// Every key of a location stands in the page on static files, in an example that is right.
    #[test]
    fn the_examples_of_a_location_are_right_and_show_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/static-files.md");
        let page = std::fs::read_to_string(path).expect("a page");
        let blocks: Vec<_> = page.split("```toml\n").skip(1).collect();
        let examples = blocks.iter().filter_map(|block| block.split("```").next());
        let mut shown = String::new();
        for example in examples {
            let document = super::super::read(example, "example", std::path::Path::new("/d"));
            assert!(document.is_ok(), "{:?}", document.err());
            shown += example;
        }
        for key in LOCATION {
            assert!(shown.contains(key.name), "{}", key.name);
        }
    }
}

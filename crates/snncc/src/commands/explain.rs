//! `snncc explain`: the page of a diagnostic code.

use crate::args::ExplainArgs;
use crate::session::{Outcome, Session, print};
use crate::values;
use snncc_ids::{ALL_CODES, Code};
use snncc_report::Table;

/// The pages of `docs/errors/`, by code.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));

/// The page of a code.
fn page(code: Code) -> Option<&'static str> {
    PAGES.iter().find(|(number, _)| *number == code.number()).map(|(_, text)| *text)
}

/// Prints the page, or the list of codes.
pub(crate) fn run(session: &Session, args: &ExplainArgs) -> Outcome {
    let Some(text) = &args.code else {
        let mut table = Table::new(&["code", "exit", "meaning"]);
        for code in ALL_CODES {
            table.row(vec![code.number().to_owned(), code.exit().to_string(), code.title().to_owned()]);
        }
        print(&table.text(0));
        session.next("snncc explain SNN0402");
        return Ok(0);
    };
    let code = values::code(text).map_err(|message| session.usage(&message))?;
    match page(code) {
        Some(text) => print(text),
        None => print(&format!("# {code}: {}\n", code.title())),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_belongs_to_a_code_and_every_code_has_one() {
        for (number, text) in PAGES {
            let code = Code::find(number).unwrap_or_else(|| panic!("{number} is no code"));
            assert!(text.starts_with(&format!("# {code}: ")), "{code}");
        }
        for code in ALL_CODES {
            assert!(page(*code).is_some(), "{code} has no page");
        }
    }
}

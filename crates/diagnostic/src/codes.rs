//! The stable codes of all reports. A code is never reused for another condition.
//!
//! Letters: L lexical, S syntax, M modules, C constants, functions and other compile-time conditions of scripts,
//! P paths, A assignments, O operators, T types, R clauses and record operations, F native functions, B bytes,
//! Q queries, D deployments, N not supported; W for warnings. The ids of `spec/language-script.md` 16 are kept.

use std::fmt;

/// One condition that a report can be about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// Stable id, for example `E-P2`.
    pub id: &'static str,
    /// The condition in a few words, for reference pages.
    pub summary: &'static str,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

macro_rules! codes {
    ($($name:ident = $id:literal, $summary:literal;)*) => {
        $(#[doc = $summary] pub const $name: Code = Code { id: $id, summary: $summary };)*
        /// Every code, for reference pages.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    UNTERMINATED_STRING = "E-L1", "A string is not closed on its line.";
    UNTERMINATED_HEREDOC = "E-L2", "A heredoc is not closed.";
    HEREDOC_OPENING = "E-L3", "Text follows the opening quotes of a heredoc on the same line.";
    UNTERMINATED_INTERPOLATION = "E-L4", "An interpolation is not closed.";
    EMPTY_INTERPOLATION = "E-L5", "An interpolation holds no expression.";
    BAD_ESCAPE = "E-L6", "An escape that does not exist.";
    BAD_UNICODE_ESCAPE = "E-L7", "A `\\u` escape that is no character.";
    UNTERMINATED_IDENT = "E-L8", "A quoted identifier is not closed on its line.";
    UNTERMINATED_EXTRACTOR = "E-L9", "An extractor literal is not closed.";
    UNEXPECTED_CHARACTER = "E-L10", "A character that cannot stand there, such as a letter after a number.";
    BAD_HEX = "E-L11", "A hexadecimal number that is malformed or too large.";
    INT_TOO_LARGE = "E-L12", "An integer above 2^64 - 1.";
    BAD_FLOAT = "E-L13", "A malformed floating point number.";
    UNEXPECTED_END = "E-L14", "The text ends inside a token or where a token is required.";
    INVALID_TOKEN = "E-L15", "Characters that form no token.";
    TOO_DEEP = "E-L16", "The nesting is deeper than the language allows.";

    SYNTAX = "E-S0", "An unexpected token.";
    MISSING_SEMICOLON = "E-S1", "A `;` is missing between two statements.";
    MISSING_END = "E-S2", "A block is not closed by `end`.";
    MISPLACED_DOC = "E-S3", "A doc comment where no definition follows.";
    RESERVED_WORD = "E-S4", "A reserved word where a name is needed.";

    MODULE_NOT_FOUND = "E-M1", "A module was not found.";
    MODULE_CYCLE = "E-M2", "Modules use each other in a cycle.";
    DUPLICATE_DEFINITION = "E-M3", "A name is defined twice.";

    NOT_CONSTANT = "E-C1", "A value must be constant.";
    UNKNOWN_FUNCTION = "E-C2", "An unknown function or function module.";
    UNKNOWN_CONSTANT = "E-C3", "An unknown constant of a module.";
    EMIT_IN_FUNCTION = "E-C4", "`emit` or `drop` inside a function.";
    MISPLACED_AGGREGATE = "E-C5", "An aggregate outside the target or `having` of a windowed select.";
    MISPLACED_RECUR = "E-C6", "`recur` outside tail position or outside a function.";
    RECUR_ARITY = "E-C7", "`recur` with a wrong number of arguments.";
    BAD_EXTRACTOR = "E-C8", "An extractor that does not exist or does not compile.";
    BAD_BYTES_PART = "E-C9", "A part of a bytes literal has a bad type or size.";

    UNKNOWN_LOCAL = "E-P0", "A local that was not assigned.";
    NOT_A_RECORD = "E-P1", "A key is asked of something that is no record.";
    MISSING_KEY = "E-P2", "A record lacks the key.";
    NOT_AN_ARRAY = "E-P3", "An index is asked of something that is no array.";
    INDEX_OUT_OF_RANGE = "E-P4", "An index outside the array.";
    BAD_INDEX_TYPE = "E-P5", "An index of the wrong type.";
    DECREASING_RANGE = "E-P6", "A range ends before it starts.";

    ASSIGN_META = "E-A1", "The metadata as a whole is assigned.";
    ASSIGN_INVALID = "E-A2", "The target of an assignment cannot be assigned.";
    ASSIGN_ARRAY = "E-A3", "An index or range in the target of an assignment.";

    INVALID_OPERATION = "E-O1", "An operator is not defined for these types.";
    INTEGER_OVERFLOW = "E-O2", "An integer result is out of range.";
    DIVISION_BY_ZERO = "E-O3", "A division by zero.";
    BAD_SHIFT = "E-O4", "A shift by less than 0 or more than 63 bits.";

    GUARD_NOT_BOOL = "E-T1", "A guard is not a bool.";
    OPERAND_NOT_BOOL = "E-T2", "An operand of a logical operator is not a bool.";
    NEEDS_RECORD = "E-T3", "A record is needed.";

    NO_CLAUSE = "E-R1", "No clause of a `match` applied.";
    BAD_FOLD = "E-R5", "A `for` cannot fold into its accumulator.";
    KEY_EXISTS = "E-R6", "A patch adds a key that exists.";
    KEY_MISSING = "E-R7", "A patch updates a key that is missing.";
    MERGE_CONFLICT = "E-R8", "A patch merges what are no records.";
    RECURSION_LIMIT = "E-R9", "A function calls itself too often, or an event takes more than a limit allows.";

    FUNCTION_FAILED = "E-F1", "A native function failed.";
    ARITY = "E-F2", "A function got a wrong number of arguments.";
    BAD_BYTES_VALUE = "E-B1", "A part of a bytes literal has an unusable value.";

    DUPLICATE_NODE = "E-Q1", "A node, stream or port name is used twice.";
    UNKNOWN_DEFINITION = "E-Q2", "A definition that does not exist is created.";
    BAD_OPERATOR = "E-Q3", "An operator kind is unknown or its configuration is bad.";
    UNKNOWN_NODE = "E-Q4", "A `select` mentions an unknown node or port.";
    BAD_WINDOW = "E-Q5", "A window is unknown or badly defined.";
    MISSING_ARGUMENT = "E-Q6", "A required argument is missing.";
    UNKNOWN_ARGUMENT = "E-Q7", "An argument that the definition does not declare.";
    BAD_SECTION = "E-Q8", "A script section cannot have this name.";
    BARE_EVENT = "E-Q9", "The event is mentioned outside the aggregates of a windowed select.";
    BAD_WINDOW_SCRIPT = "E-Q10", "A window script reads or assigns what it must not.";
    NESTED_AGGREGATE = "E-Q11", "An aggregate inside an aggregate, or with a wrong number of arguments.";
    GRAPH_CYCLE = "E-Q12", "The nodes of a pipeline form a cycle.";
    CONDITION_NOT_BOOL = "E-Q13", "`where` or `having` is not a bool.";
    EACH_NOT_ARRAY = "E-Q14", "`each` needs an array.";
    TOO_MANY_GROUPS = "E-Q15", "More groups than the window allows.";
    BAD_WINDOW_RESULT = "E-Q16", "The result of a window script is unusable.";
    UNKNOWN_PORT = "E-Q17", "A port that does not exist.";
    BAD_DIRECTIVE = "E-Q18", "A directive has an unusable value.";

    UNKNOWN_CONNECTOR_KEY = "E-D1", "An unknown key in the `with` of a connector definition.";
    UNKNOWN_CONNECTOR_KIND = "E-D2", "An unknown kind of connector.";
    UNKNOWN_INSTANCE = "E-D3", "A `connect` mentions an instance that was not created.";
    DUPLICATE_FLOW = "E-D4", "A flow is deployed twice under one name.";
    CONNECTOR_TO_CONNECTOR = "E-D5", "A connector is connected to a connector.";
    BAD_CONNECTOR_VALUE = "E-D6", "A setting of a connector has the wrong type or value.";
    UNKNOWN_FLOW = "E-D7", "A flow that is not defined is deployed.";

    NOT_YET = "E-N1", "A part of the language that this version cannot run.";

    OLD_SYNTAX = "W-1", "An older form of the syntax.";
    FOR_FOLD = "W-2", "A `for` with `use` folds in its own way.";
    SLOW_FUNCTION = "W-3", "A slow library function.";
    CONSTANT_CASE = "W-4", "The name of a constant has lower-case letters.";
    NO_DEFAULT = "W-5", "A `match` without a default clause.";
    UNREACHABLE_CLAUSE = "W-6", "A clause that is never reached.";
    REDUNDANT_TEST = "W-7", "A record pattern tests a key in two ways that do not go together.";
    UNUSED_DEFINITION = "W-8", "A definition that nothing creates.";
    DUPLICATE_INSTANCE = "W-9", "An instance is created twice; the later one wins.";
    UNLINKED = "W-10", "A part of a flow is linked to nothing.";
    NEVER_MATCHES = "W-11", "An extractor that no text ever matches.";
    REPEATED_KEY = "W-12", "A key stands twice; the later one wins.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique() {
        let ids: HashSet<_> = ALL.iter().map(|code| code.id).collect();
        assert_eq!(ids.len(), ALL.len());
    }
}

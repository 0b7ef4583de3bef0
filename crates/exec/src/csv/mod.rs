//! Delimited text files: reading them through a bounded window, and guessing what is in them.
//!
//! | file | holds |
//! |---|---|
//! | `reader` | the window over the file |
//! | `split` | fields of lines without quotes, found with bit masks |
//! | `rows` | rows as views into the window, quoted or not |
//! | `field` | one field to one value of a column's type |
//! | `sniff` | delimiter, header and types from a file's first bytes |

pub(crate) mod field;
pub(crate) mod reader;
pub(crate) mod rows;
pub(crate) mod sniff;
pub(crate) mod split;

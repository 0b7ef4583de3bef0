//! Reading everything there is in a segment, and telling what is wrong with it.

//! (tests of request heads)

//! The real connection code on the simulated ring: fragmented input, short writes, late completions, dying peers, virtual
//! time. Every test runs under many seeds.

mod admission;
mod again;
mod app;
mod app_site;
mod asgi;
mod asgi_app;
mod drain;
mod http;
mod site;
mod socket_client;
mod websocket;

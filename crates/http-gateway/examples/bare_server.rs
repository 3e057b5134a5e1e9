//! The floor that the status query is measured against: a bare actix server that answers every request with the same
//! body, on two workers. `cargo run --release -p rollcall-http-gateway --example bare_server -- 127.0.0.1:8099`

use actix_web::{App, HttpResponse, HttpServer, rt, web};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8099".to_owned());
    rt::System::new().block_on(
        HttpServer::new(|| {
            App::new().default_service(web::to(|| async {
                HttpResponse::Ok().content_type("application/json").body(r#"{"online":true}"#)
            }))
        })
        .workers(2)
        .bind(&address)?
        .run(),
    )
}

drop schema inbox cascade;

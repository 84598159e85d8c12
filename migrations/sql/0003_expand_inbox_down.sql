-- Once in a database:
drop schema inbox cascade;

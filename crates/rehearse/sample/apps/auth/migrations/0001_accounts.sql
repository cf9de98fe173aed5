CREATE TABLE accounts (id uuid PRIMARY KEY, email text NOT NULL);

"""What several tests share: small studies, records, models, processes, a browser."""

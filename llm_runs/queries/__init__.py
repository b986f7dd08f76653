"""What is trained on: queries chosen by base Pass@1, pools, test sets, and how hard items are."""

mod drawing;
